"""A training rehearsed on copies: what it says of a model and its loss, and that nothing of the real one moves."""

from __future__ import annotations

import copy
import importlib.util
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, WeightedRandomSampler

from ravine.errors import DataError, SettingError
from ravine.integrations.batches import few_batches, grouped
from ravine.integrations.expected import ignorance
from ravine.integrations.rates import find_rates
from ravine.integrations.rehearsal import Rehearsal, undisturbed
from ravine.integrations.steps import check
from ravine.randomness import generator

CENTERS = 3 * torch.randn(4, 8, generator=generator(0, "centers"))


def rows(count: int = 320) -> tuple[Tensor, Tensor]:
    """Points of four clouds."""
    draw = generator(1, "rows")
    y = torch.randint(4, (count,), generator=draw)
    return CENTERS[y] + torch.randn(count, 8, generator=draw), y


def network(*end: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 4), *end)


def classified(model: nn.Module, batch: Any) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def rehearsal(
    model: nn.Module,
    loss_of: Callable[[nn.Module, Any], Tensor] = classified,
    optimizer: torch.optim.Optimizer | None = None,
    parts: int = 1,
) -> Rehearsal:
    x, y = rows()
    batches = list(zip(x.split(32), y.split(32), strict=True))
    return Rehearsal(model, optimizer or torch.optim.Adam(model.parameters()), grouped(batches, parts), loss_of)


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Any]:
    """All that a rehearsal must leave alone, copied."""
    states = [copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())]
    modes = [module.training for module in model.modules()]
    grads = [p.grad for p in model.parameters()]
    return [*states, modes, grads, torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]  # noqa: NPY002


def same(a: Any, b: Any) -> bool:
    return str(a) == str(b)


def test_a_sound_training_passes_both_steps_and_raises_no_alarm() -> None:
    found = check(rehearsal(network()), seconds=60)
    assert [(verdict.step, verdict.status) for verdict in found.verdicts] == [
        ("initial-loss", "pass"),
        ("overfit", "pass"),
    ]
    assert found.findings == []
    assert found.verdicts[0].evidence["expected"] == pytest.approx(1.3863, abs=1e-4)


def test_model_optimizer_and_random_states_are_left_to_the_bit() -> None:
    def drawing(model: nn.Module, batch: Any) -> Tensor:
        return classified(model, batch) + 0 * (random.random() + np.random.rand())  # noqa: NPY002, S311

    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    before = everything(model, optimizer)
    check(rehearsal(model, drawing, optimizer), seconds=1)
    find_rates(rehearsal(model, drawing, optimizer), grid=(1, 1, 30))
    assert same(everything(model, optimizer), before)


def test_a_softmax_too_many_is_found_before_training() -> None:
    found = check(rehearsal(network(nn.Softmax(1))), seconds=1)
    assert [finding.fault for finding in found.findings] == ["softmax-before-loss"]


def test_labels_that_nothing_connects_with_the_inputs_cannot_be_learnt() -> None:
    def blind(model: nn.Module, batch: Any) -> Tensor:
        return F.cross_entropy(model(torch.zeros_like(batch[0])), batch[1])

    (first, second) = check(rehearsal(network(), blind), seconds=60).verdicts
    assert (first.status, second.status) == ("pass", "fail")
    assert "labels" in second.advice[0]


def test_a_last_layer_that_starts_too_large_is_seen_in_the_first_loss() -> None:
    model = network()
    with torch.no_grad():
        model[3].weight.mul_(100)  # type: ignore[operator]
    (first,) = check(rehearsal(model), seconds=1).verdicts
    assert first.status == "fail"
    assert "last layer smaller" in first.advice[0]


def test_a_target_far_from_zero_is_to_be_standardized() -> None:
    def far(model: nn.Module, batch: Any) -> Tensor:
        return F.mse_loss(model(batch[0])[:, 0], 40 + batch[0][:, 0])

    first = check(rehearsal(network(), far), seconds=1).verdicts[0]
    assert first.status == "fail"
    assert "Standardize the target (it has mean 40" in first.advice[0]


def test_a_model_that_was_trained_before_is_no_fault() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        classified(model, rows()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    first = check(rehearsal(model), seconds=1).verdicts[0]
    assert first.status == "pass"
    assert "knows something already" in first.summary


def test_nothing_is_claimed_of_a_loss_that_nobody_knows() -> None:
    first = check(rehearsal(network(), lambda model, batch: model(batch[0]).exp().mean()), seconds=1).verdicts[0]
    assert first.status == "pass"
    assert "not known" in first.summary


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.LBFGS, torch.optim.Rprop])
def test_rates_are_tried_with_the_optimizer_of_the_training(kind: Any) -> None:
    model = network()
    more = {"max_iter": 2} if kind is torch.optim.LBFGS else {}
    found = find_rates(rehearsal(model, optimizer=kind(model.parameters(), lr=0.1, **more)), grid=(1, 1, 30))
    assert found.verdict.evidence["optimizers"].keys() == {kind.__name__.lower()}
    assert found.lr is not None
    assert 1e-5 <= found.low <= found.lr <= found.high <= 10


def test_the_rate_found_by_adding_up_gradients_is_that_of_whole_batches() -> None:
    """A mean over two half batches is the mean over the whole one; without dropout the losses agree to rounding."""
    model = network().eval()
    whole = rehearsal(model)
    halves = Rehearsal(
        model, whole.optimizer, [[(x[:16], y[:16]), (x[16:], y[16:])] for ((x, y),) in whole.batches], classified
    )
    one, two = (find_rates(each, grid=(1, 1, 30)).found.final_loss for each in (whole, halves))
    assert one[4] == pytest.approx(two[4], rel=1e-4)


def test_groups_keep_the_ratio_of_their_rates_and_a_warm_up_at_zero_does_not_count() -> None:
    model = network()
    optimizer = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[3].parameters(), "lr": 0.4}]
    )
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.0]
    attempt = rehearsal(model, optimizer=optimizer).begin(0.8)
    assert [group["lr"] for group in attempt.optimizer.param_groups] == pytest.approx([0.2, 0.8])


def test_a_loader_gives_its_batches_and_does_not_notice() -> None:
    x, y = rows(64)
    draw = torch.Generator().manual_seed(3)
    sampler = WeightedRandomSampler((y == 1).double(), 64, generator=draw)
    loader = DataLoader(TensorDataset(x, y), 16, sampler=sampler)
    before = draw.get_state()
    with undisturbed(0):
        batches = few_batches(loader, 3)
    assert [len(labels) for _, labels in batches] == [16, 16, 16]
    assert all(bool((labels == 1).all()) for _, labels in batches)  # by the loader's own sampler
    assert torch.equal(draw.get_state(), before)


def test_few_batches_are_kept_where_they_are_large() -> None:
    loader = DataLoader(TensorDataset(torch.zeros(64, 1000)), 16)
    assert len(few_batches(loader, 4, memory=100_000)) == 2


def test_loaders_in_a_dictionary_come_together_and_the_shorter_begins_again() -> None:
    long, short = (DataLoader(TensorDataset(torch.arange(float(n))), 1) for n in (5, 2))
    batches = few_batches({"a": long, "b": short}, 5)
    assert [float(batch["b"][0]) for batch in batches] == [0, 1, 0, 1, 0]


def test_what_can_be_read_only_once_is_left_alone() -> None:
    class Stream(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            return self  # type: ignore[return-value]

        def __next__(self) -> int:
            raise AssertionError

    for loader in (DataLoader(Stream(), 4), iter([1, 2, 3])):
        with pytest.raises(DataError, match="only once"):
            few_batches(loader, 2)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda out, y: F.cross_entropy(out, y), 1.3863),
        (lambda out, y: F.cross_entropy(out.double(), y).float(), 1.3863),
        (lambda out, y: F.mse_loss(out[:, 0], y.float()), 1.25),
        (lambda out, y: F.binary_cross_entropy_with_logits(out[:, 0], (y > 1).float()), 0.6931),
        (lambda out, y: 2 * F.cross_entropy(out, y), None),
        (lambda out, y: F.cross_entropy(out, y, reduction="sum"), None),
        (lambda out, y: F.cross_entropy(out, y) + out.square().mean(), None),
    ],
)
def test_what_knowing_nothing_comes_to_is_read_off_the_graph(loss: Any, expected: float | None) -> None:
    out = torch.zeros(8, 4, requires_grad=True)
    known = ignorance(loss(out, torch.arange(8) % 4))
    assert (None if known is None else known.loss) == (None if expected is None else pytest.approx(expected, abs=1e-4))


@pytest.mark.parametrize("name", ["lightning", "transformers"])
def test_without_its_library_a_module_says_in_one_line_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ravine.integrations as package

    for one in ("lightning", "lightning.pytorch", "pytorch_lightning", "transformers"):
        monkeypatch.setitem(sys.modules, one, None)
    path = Path(str(package.__file__)).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location("fresh", path)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(SettingError, match=rf"pip install 'ravine\[{name}\]'"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
