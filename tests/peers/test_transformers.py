"""huggingface/transformers: its Trainer, and safetensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import ravine
from ravine.api import work
from ravine.curvature import Objective
from ravine.data import Data
from ravine.training import Setting, load_model, read_snapshot, save_model, write_snapshot

from .reports import report
from .small import arrays, normalized, own, run
from .test_torch import Tied

TRANSFORMERS = "huggingface/transformers"


@report(
    TRANSFORMERS,
    24725,
    "With gradient accumulation, parts of unequal size count alike: the gradient is not that of the whole batch.",
    ravine="A part counts by its share of the batch; in 1, 3 or 5 parts the curve is the same, to rounding.",
)
def test_24725_parts_of_unequal_size_give_the_gradient_of_the_whole_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work, "write_report", lambda _folder: None)
    curves = []
    for parts in (1, 3, 5):  # 16 examples in 6 + 5 + 5, or 4 + 3 + 3 + 3 + 3
        seen: list[float] = []
        ravine.train(
            "mlp",
            arrays(),
            epochs=3,
            setting={"optimizer": "sgd", "lr": 0.1},
            settings={"hidden": [8]},
            batch_size=16,
            sharing={"accumulate": parts} if parts > 1 else None,
            on_epoch=lambda row, seen=seen: seen.append(row["validation_loss"]),
            engine="one by one",
        )
        curves.append(seen)
    assert len(curves[0]) == 3
    for curve in curves[1:]:
        assert curve == pytest.approx(curves[0], rel=1e-4)
    module, (x, y) = nn.Linear(4, 3).double(), arrays(50)
    rows = torch.from_numpy(x).double(), torch.from_numpy(y)
    torch.testing.assert_close(
        Objective(module, rows, "classification", batch=16).gradient(),
        Objective(module, rows, "classification", batch=50).gradient(),
    )


@report(
    TRANSFORMERS,
    17032,
    "A training resumed from the checkpoint of an epoch's end has other dropout masks: the generator's state is not loaded.",
    ravine="There is no generator to restore: masks, mixing and order follow from seed and step, from an epoch's end as from its middle.",
)
def test_17032_dropout_and_mixing_go_on_after_the_end_of_an_epoch(three_classes: Data, tmp_path: Path) -> None:
    setting = Setting(batch_size=16, dropout=0.5, mixup=0.3, lr=0.01)
    whole, cut, goes_on = (run(three_classes, setting, factory=normalized, steps=32) for _ in range(3))
    whole.advance(32)
    cut.advance(2 * cut.steps_per_epoch)
    write_snapshot(tmp_path / "state", cut.snapshot())
    torch.manual_seed(12345)
    goes_on.restore(read_snapshot(tmp_path / "state"))
    goes_on.advance(32)
    for name, value in whole.population.state(0).items():
        assert torch.equal(goes_on.population.state(0)[name], value)


@report(
    TRANSFORMERS,
    33807,
    "A model with tied weights that was trained cannot be saved as safetensors: some tensors share memory.",
    ravine="What is saved is a copy of every weight by its name; the model that is loaded predicts what was trained.",
)
def test_33807_a_model_with_tied_weights_is_saved_and_predicts_the_same(three_classes: Data, tmp_path: Path) -> None:
    trained = run(three_classes, Setting(batch_size=16, lr=0.05), factory=Tied, steps=10)
    trained.advance(10)
    trained.evaluate()
    x, _ = three_classes.validation.batch(torch.arange(len(three_classes.validation)))
    outputs = trained.population.outputs(x)[0]
    save_model(
        tmp_path / "m", trained.best[0], own(three_classes, Tied), three_classes.task, three_classes.preprocessing
    )
    module, _, _ = load_model(tmp_path / "m", Tied)
    torch.testing.assert_close(module(x), outputs)
