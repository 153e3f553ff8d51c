"""Lightning-AI/pytorch-lightning: its tuner, weight averaging, checkpoints, resuming and logging."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ravine
from ravine.data import Data
from ravine.errors import FolderError, InputError, WriteError
from ravine.recipe import lr_range
from ravine.recipe.lr_range import read_range
from ravine.regularization import Augmentation
from ravine.schedules import OneCycle, bind
from ravine.training import (
    SWA,
    Averaging,
    Setting,
    choose_average,
    evaluate,
    outputs_of,
    read_snapshot,
    reestimate_batch_norm,
    save_model,
    write_json,
    write_snapshot,
)

from .reports import report
from .small import normalized, run

LIGHTNING = "Lightning-AI/pytorch-lightning"
HERE = "lightning 2.6.6"

RATES = [10 ** (k / 3 - 6) for k in range(22)]


def curves(seed: int, noise: float) -> list[list[float]]:
    """Losses [R][T] of 100 steps at each rate: the drop is largest at 0.01, none below 1e-4 and none from 1 on."""
    draw, found = np.random.default_rng(seed), []
    for rate in RATES:
        drop = math.exp(-(math.log10(rate / 0.01) ** 2))
        steps = 2.0 - 1.5 * drop * (1 - np.exp(-np.arange(100) / 20)) + draw.uniform(-noise, noise, 100)
        found.append(steps.tolist())
    return found


@report(
    LIGHTNING,
    21141,
    "Since 2.5.3 the rate that is suggested is far off where the losses are a little noisy: the steepest place of one curve.",
    ravine="Each rate is judged by the median loss at its end, over several seeds; noise moves the best by no more than is said.",
    seen=HERE,
)
def test_21141_noise_on_the_losses_moves_the_best_rate_by_no_more_than_is_said() -> None:
    clean = read_range(RATES, [curves(0, 0.0)], 100)
    assert clean.best == pytest.approx(0.01)
    for first in range(0, 60, 3):
        noisy = read_range(RATES, [curves(seed, 0.3) for seed in range(first, first + 3)], 100)
        assert abs(math.log10(noisy.best / clean.best)) <= 2 * noisy.uncertainty_decades
        assert noisy.low <= 0.01 <= noisy.high


@report(
    LIGHTNING,
    1767,
    "A spike in the first losses of the sweep is taken for the steepest descent, and its tiny rate is suggested.",
    ravine="There is no sweep: a rate is trained by itself and judged by where its losses end, so a spike counts for nothing.",
    gone=HERE,
)
def test_1767_a_spike_at_the_beginning_is_no_descent() -> None:
    spiked = curves(0, 0.0)
    for curve in spiked[:6]:
        curve[1:4] = [9.0, 7.0, 4.0]
    found = read_range(RATES, [spiked], 100)
    assert found == read_range(RATES, [curves(0, 0.0)], 100)


@report(
    LIGHTNING,
    6675,
    "The learning-rate finder leaves the model with the weights of its last, diverged steps.",
    ravine="Copies are trained; the module is left bit for bit as it was: weights, statistics, flags and gradients.",
    gone=HERE,
)
def test_6675_the_model_is_as_it_was_after_a_range_test(three_classes: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lr_range, "_grid", lambda *_: (1, 1, 30))
    module = normalized(three_classes.input_shape, three_classes.outputs)
    module[0].weight.requires_grad_(False)
    module[3].eval()
    module[4].weight.grad = torch.ones_like(module[4].weight)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    ravine.lr_range(module, three_classes, optimizers=["sgd"], engine="one by one")  # up to a rate of 10
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert [one.training for one in module] == [True, True, True, False, True]
    assert [p.requires_grad for p in module.parameters()] == [False, *[True] * 5]
    assert module[4].weight.grad.eq(1).all()
    assert module[0].weight.grad is None


@report(
    LIGHTNING,
    14866,
    "StochasticWeightAveraging sets batch norm's momentum to 0 to estimate its statistics again; they stay at 0 and 1.",
    ravine="reestimate_batch_norm gives the mean over the batches, and the momentum is as before afterwards.",
    gone=HERE,
)
def test_14866_statistics_estimated_again_are_those_of_the_batches() -> None:
    layer, draw = nn.BatchNorm1d(3, momentum=0.3), torch.Generator().manual_seed(1)
    batches = [5 + 2 * torch.randn(32, 3, generator=draw) for _ in range(4)]
    reestimate_batch_norm(layer, batches)
    torch.testing.assert_close(layer.running_mean, torch.stack([batch.mean(0) for batch in batches]).mean(0))
    torch.testing.assert_close(layer.running_var, torch.stack([batch.var(0) for batch in batches]).mean(0))
    assert layer.momentum == 0.3


@report(
    LIGHTNING,
    8811,
    "Validation during averaging looks at averaged weights with the batch norm statistics of other weights.",
    ravine="An average is judged with statistics of its own beside those it came with, and what is handed back is what was judged.",
)
def test_8811_an_average_is_validated_with_the_statistics_it_is_handed_back_with(three_classes: Data) -> None:
    averaging = Averaging(SWA(), every=5, start=20)
    trained = run(three_classes, Setting("sgd", lr=0.5, batch_size=16), factory=normalized, averaging=averaging)
    trained.advance(40)
    single, average = (normalized(three_classes.input_shape, three_classes.outputs) for _ in range(2))
    single.load_state_dict(trained.population.state(0))
    average.load_state_dict(trained.averaged_state(0))
    inputs = three_classes.train.batch(torch.arange(len(three_classes.train)))[0].split(16)
    validated: dict[int, float] = {}

    def look(module: nn.Module) -> dict[str, float]:
        found = evaluate(module, three_classes.validation, three_classes.task)
        validated[id(module)] = found["nll"]
        return found

    choice = choose_average(single, average, inputs, look)
    assert set(choice.scores) == {"single", "average", "average_reestimated"}
    assert choice.scores["average"]["nll"] != choice.scores["average_reestimated"]["nll"]
    now = evaluate(choice.module, three_classes.validation, three_classes.task)
    assert now["nll"] == validated[id(choice.module)] == choice.scores[choice.kind]["nll"]


@report(
    LIGHTNING,
    5325,
    "A training that is interrupted within an epoch goes on with the next one: the rest of the epoch is skipped.",
    ravine="It goes on with the next batch of the same epoch, and ends in the bits of one that never stopped.",
    gone=HERE,
)
def test_5325_a_training_stopped_within_an_epoch_goes_on_with_its_next_batch(
    three_classes: Data, tmp_path: Path
) -> None:
    setting = Setting(batch_size=16, lr=0.01, mixup=0.2)
    whole = run(three_classes, setting, factory=normalized)
    stop = whole.steps_per_epoch + 3
    assert whole.steps_per_epoch > 4
    whole.advance(40)

    cut = run(three_classes, setting, factory=normalized)
    cut.advance(stop)
    write_snapshot(tmp_path / "state", cut.snapshot())
    goes_on = run(three_classes, setting, factory=normalized)
    goes_on.restore(read_snapshot(tmp_path / "state"))
    assert goes_on.step == stop
    assert torch.equal(goes_on.batches.at(stop).x, whole.batches.at(stop).x)
    goes_on.advance(40)
    assert goes_on.history.steps(0)["step"] == list(range(stop + 1, 41))
    assert goes_on.history.steps(0)["loss"] == whole.history.steps(0)["loss"][stop:]
    for name, value in whole.population.state(0).items():
        assert torch.equal(goes_on.population.state(0)[name], value)


@report(
    LIGHTNING,
    1182,
    "A training that is resumed from a checkpoint within an epoch begins again with the epoch's first batches.",
    ravine="No example is met twice in an epoch that was interrupted, and none is missed that would have been met.",
    seen=HERE,
)
def test_1182_an_interrupted_epoch_meets_every_example_it_would_have_met_once(
    three_classes: Data, tmp_path: Path
) -> None:
    def met(steps: range, trained: Any) -> list[tuple[float, ...]]:
        return [tuple(row) for step in steps for row in trained.batches.at(step).x.tolist()]

    whole, cut, goes_on = (run(three_classes, Setting(batch_size=16)) for _ in range(3))
    before = met(range(3), cut)
    cut.advance(3)
    write_snapshot(tmp_path / "state", cut.snapshot())
    goes_on.restore(read_snapshot(tmp_path / "state"))
    epoch = before + met(range(goes_on.step, goes_on.steps_per_epoch), goes_on)
    assert epoch == met(range(whole.steps_per_epoch), whole)
    assert len(set(epoch)) == len(epoch) == 16 * whole.steps_per_epoch


@report(
    LIGHTNING,
    19549,
    "The first validation after resuming within an epoch looks at one batch alone, and its loss is logged as that of all.",
    ravine="An evaluation after resuming is over all validation rows, and the same as it would have been.",
)
def test_19549_the_first_evaluation_after_resuming_is_over_all_rows(three_classes: Data, tmp_path: Path) -> None:
    setting = Setting(batch_size=16, lr=0.01)
    whole, cut, goes_on = (run(three_classes, setting, factory=normalized) for _ in range(3))
    whole.advance(11)
    cut.advance(10)
    write_snapshot(tmp_path / "state", cut.snapshot())
    goes_on.restore(read_snapshot(tmp_path / "state"))
    goes_on.advance(1)
    assert goes_on.evaluate() == whole.evaluate()
    module = normalized(three_classes.input_shape, three_classes.outputs)
    module.load_state_dict(goes_on.population.state(0))
    rows = outputs_of(module, three_classes.validation)
    assert len(rows) == len(three_classes.validation)
    nll = nn.functional.cross_entropy(rows, three_classes.validation.y).item()
    assert goes_on.evaluate()[0]["nll"] == pytest.approx(nll, rel=1e-5)


@report(
    LIGHTNING,
    21822,
    "load_from_checkpoint imports and calls what a string among the saved hyper-parameters names, weights_only or not.",
    ravine="A record of a model is plain values of known names; a factory is imported where the user has named it by hand, and no pickle is read.",
    gone=HERE,
)
@pytest.mark.parametrize("place", ["", "model", "settings", "hyperparameters", "preprocessing", "weights"])
def test_21822_no_string_in_a_saved_model_is_imported_and_no_pickle_read(
    three_classes: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    from ravine.models import Model, mlp

    trained = run(three_classes, Setting(batch_size=16), steps=4)
    trained.advance(4)
    trained.evaluate()
    model = Model("mlp", mlp, three_classes.input_shape, three_classes.outputs, {"hidden": [8]})
    stem = tmp_path / "run" / "best" / "model"
    save_model(stem, trained.best[0], model, three_classes.task, three_classes.preprocessing)
    ravine.load(tmp_path / "run")
    (tmp_path / "attacker.py").write_text(f"open({str(tmp_path / 'obeyed')!r}, 'w')\ndef call(*_, **__): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    if place == "weights":
        torch.save({"_instantiator": "attacker.call"}, stem.with_suffix(".safetensors"))
    else:
        record = json.loads(stem.with_suffix(".json").read_text())
        if place == "model":  # a factory is code, and this one the user has never named
            record["model"] = "attacker:call"
        else:
            (record[place] if place else record)["_instantiator"] = "attacker.call"
        stem.with_suffix(".json").write_text(json.dumps(record))
    if place == "hyperparameters":  # they are shown to a reader, and given to nothing
        ravine.load(tmp_path / "run")
    else:
        with pytest.raises(InputError):
            ravine.load(tmp_path / "run")
    assert "attacker" not in sys.modules
    assert not (tmp_path / "obeyed").exists()


@report(
    LIGHTNING,
    688,
    "A checkpoint is written in place: a kill in the middle leaves a file that cannot be loaded, and the one before is gone.",
    ravine="Files are written beside and moved into place; a state knows by its sum whether it is whole.",
)
def test_688_a_state_that_is_cut_off_never_takes_the_place_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.safetensors"
    write_snapshot(path, {"weight": torch.ones(1000)})
    import ravine.training.snapshots as snapshots

    def killed(tensors: dict[str, Tensor], partial: Path, _metadata: Any) -> None:
        partial.write_bytes(b"half" * len(tensors))
        raise KeyboardInterrupt

    monkeypatch.setattr(snapshots, "save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        write_snapshot(path, {"weight": torch.zeros(1000)})
    assert read_snapshot(path)["weight"].eq(1).all()
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]
    path.write_bytes(path.read_bytes()[:-1])  # and what another hand has cut off is no state
    with pytest.raises(FolderError, match="damaged"):
        read_snapshot(path)


@report(
    LIGHTNING,
    21800,
    "A checkpoint that may not be written is lost in silence: the error is swallowed, and the training goes on.",
    ravine="The run ends with one line that names the file, the reason and what to do.",
    seen=HERE,
)
def test_21800_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file stands where the folder should be")
    for write in (lambda path: write_snapshot(path, {"step": 1}), lambda path: write_json(path, {"step": 1})):
        with pytest.raises(WriteError, match=r"cannot write .*folder.*Choose another folder with --out"):
            write(tmp_path / "folder" / "state")


@report(
    LIGHTNING,
    20412,
    "With seed_everything(workers=True) the augmentations are the very same in every epoch.",
    ravine="The step is part of every draw: each epoch has draws of its own, and a repeated run the same ones.",
)
def test_20412_no_epoch_repeats_the_augmentation_of_another() -> None:
    images = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    augment = Augmentation(crop=2, flip=0.5, rotate=20)
    epochs = [augment(images, seed=3, step=10 * epoch) for epoch in range(4)]
    assert len(torch.stack(epochs).flatten(1).unique(dim=0)) == 4
    assert torch.equal(augment(images, seed=3, step=10), epochs[1])


@report(
    LIGHTNING,
    15462,
    "A OneCycleLR is not where it was after a training is resumed from a checkpoint.",
    ravine="A one-cycle schedule goes on at any step, its rate and its momentum alike.",
)
def test_15462_one_cycle_goes_on_with_its_rate_and_its_momentum() -> None:
    def begun() -> Any:
        return bind(OneCycle(), torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4, momentum=0.9), 12)

    def walked(scheduler: Any, steps: int) -> list[tuple[float, float]]:
        found = []
        for _ in range(steps):
            group = scheduler.optimizer.param_groups[0]
            found.append((group["lr"], group["momentum"]))
            scheduler.optimizer.step()
            scheduler.step()
        return found

    whole = walked(begun(), 12)
    for at in range(1, 12):
        old, new = begun(), begun()
        walked(old, at)
        new.optimizer.load_state_dict(old.optimizer.state_dict())
        new.load_state_dict(old.state_dict())
        assert walked(new, 12 - at) == whole[at:]


@report(
    LIGHTNING,
    2924,
    "The metric of an epoch is the plain mean over its batches: a last batch of 10 counts like one of 256.",
    ravine="A metric is computed over all rows at once, in whatever chunks they went through the network.",
    gone=HERE,
)
def test_2924_a_small_last_chunk_counts_by_its_size(three_classes: Data) -> None:
    module = normalized(three_classes.input_shape, three_classes.outputs)
    split = three_classes.train
    assert len(split) % 20
    rows = outputs_of(module, split, chunk=20)
    torch.testing.assert_close(rows, outputs_of(module, split))
    found = evaluate(module, split, three_classes.task)
    assert found["accuracy"] == pytest.approx((rows.argmax(-1) == split.y).double().mean().item())
    assert found["nll"] == pytest.approx(nn.functional.cross_entropy(rows, split.y).item(), rel=1e-5)
