"""Any torch optimizer in the place of a rule: what it does alone, in a population, and in a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ravine
from ravine.data import Data
from ravine.engines import Population
from ravine.engines.from_torch import FromTorch, torch_optimizer
from ravine.errors import SettingError
from ravine.randomness import generator
from ravine.rules import SGD
from ravine.search import Choice, Log, Space
from ravine.training import Setting
from ravine.training.snapshots import read_snapshot, write_snapshot

KINDS: dict[str, Any] = {
    "Rprop": FromTorch(torch.optim.Rprop, (("etas", (0.5, 1.1)),)),
    "ASGD": FromTorch(torch.optim.ASGD, weight_decay=0.1),
    "Adafactor": FromTorch(torch.optim.Adafactor),
    "AdamW": FromTorch(torch.optim.AdamW, weight_decay=0.1),
    "a factory": FromTorch(lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9, nesterov=True)),
}
RATES = [0.01, 0.05, 0.002]


def network(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3))


def batches(steps: int = 6) -> list[tuple[Tensor, Tensor]]:
    draw = generator(0, "batches")
    return [(torch.randn(16, 5, generator=draw), torch.randint(3, (16,), generator=draw)) for _ in range(steps)]


def trained_alone(rule: FromTorch, lr: float, seed: int) -> dict[str, Tensor]:
    """The same in a loop of torch's own."""
    model = network(seed)
    weights, biases = ([p for p in model.parameters() if (p.ndim > 1) == wide] for wide in (True, False))
    optimizer = rule.built(weights, biases)
    for group in optimizer.param_groups:
        group["lr"] = lr
    for x, y in batches():
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.state_dict()


def populated(rule: FromTorch, trials: int = 3) -> Population:
    return Population([network(k) for k in range(trials)], [rule] * trials, F.cross_entropy, engine="one by one")


@pytest.mark.parametrize("rule", KINDS.values(), ids=list(KINDS))
def test_each_trial_of_a_population_is_what_torch_makes_of_it_alone(rule: FromTorch) -> None:
    population = populated(rule)
    for x, y in batches():
        seen = population.step(x, y, RATES)
    assert bool((seen.update_ratio > 0).all())
    for k, lr in enumerate(RATES):
        for name, value in trained_alone(rule, lr, k).items():
            torch.testing.assert_close(population.state(k)[name], value, rtol=1e-6, atol=1e-7)


def test_a_trial_goes_on_as_before_when_its_neighbours_are_dropped() -> None:
    population = populated(KINDS["Rprop"])
    for step, (x, y) in enumerate(batches()):
        population.step(x, y, RATES[: len(population)] if step < 3 else [RATES[2]])
        if step == 2:
            population.keep([2])
    for name, value in trained_alone(KINDS["Rprop"], RATES[2], 2).items():
        torch.testing.assert_close(population.state(0)[name], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["Rprop", "ASGD", "Adafactor", "AdamW"])
def test_a_population_that_is_saved_and_restored_goes_on_to_the_same_bits(name: str, tmp_path: Path) -> None:
    first, second = populated(KINDS[name]), populated(KINDS[name])
    for x, y in batches()[:3]:
        first.step(x, y, RATES)
    write_snapshot(tmp_path / "state", first.snapshot())
    second.restore(read_snapshot(tmp_path / "state"))
    for x, y in batches()[3:]:
        first.step(x, y, RATES)
        second.step(x, y, RATES)
    assert torch.equal(first.stack.flat, second.stack.flat)


def test_one_that_averages_on_the_side_is_evaluated_with_its_averages() -> None:
    class Averaging(torch.optim.SGD):
        def eval(self) -> None:
            self.kept = [p.clone() for group in self.param_groups for p in group["params"]]
            for p in (p for group in self.param_groups for p in group["params"]):
                p.zero_()

        def train(self) -> None:
            pass

    population = populated(FromTorch(Averaging), trials=1)
    x, y = batches()[0]
    population.step(x, y, [0.1])
    before = population.stack.flat.clone()
    assert all(bool((value == 0).all()) for value in population.state(0).values())
    assert torch.equal(population.stack.flat, before)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FromTorch(torch.optim.LBFGS), "closure"),
        (lambda: FromTorch(torch.optim.Rprop, weight_decay=0.1), "no weight_decay"),
        (lambda: FromTorch(torch.optim.Rprop, (("eta", 1.0),)), "eta"),
        (lambda: FromTorch("rprop"), "needs a class"),  # type: ignore[arg-type]
        (lambda: FromTorch(lambda *_, **__: None), "must give"),  # type: ignore[arg-type,return-value]
        (lambda: torch_optimizer("torch.Rpro"), "did you mean torch.Rprop"),
        (lambda: Setting("torch.LBFGS"), "torch.LBFGS"),
        (lambda: Setting("Rprop"), "torch.Rprop"),
        (lambda: Setting("torch.Rprop", weight_decay=0.1), "no weight_decay"),
        (lambda: FromTorch(torch.optim.Rprop).init(torch.zeros(1)), "whole models"),
        (lambda: Population([network(0)] * 2, [FromTorch(torch.optim.Rprop), SGD()], F.cross_entropy), "one kind"),
        (lambda: Population([network(0), network(1)], [KINDS["Rprop"], KINDS["AdamW"]], F.cross_entropy), "one kind"),
    ],
)
def test_what_cannot_step_a_trial_is_refused_in_one_line(make: Any, said: str) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_train_and_search_take_torchs_optimizers_by_name(three_classes: Data) -> None:
    result = ravine.train("mlp", three_classes, epochs=8, setting={"optimizer": "torch.ASGD", "lr": 0.3})
    assert result.best is not None
    assert result.best.validation["accuracy"] > 0.5
    space: Space = {"optimizer": Choice(["adamw", "torch.Rprop"]), "lr": Log(1e-3, 1e-1)}
    found = ravine.run_search("mlp", three_classes, space=space, trials=8, epochs=2)
    tried = found.steps[0].evidence["space"]
    assert tried["lr"].keys() == {"adamw", "torch.Rprop"}
    assert tried["weight_decay"].keys() == {"adamw"}  # Rprop has none


def test_settings_of_torchs_optimizers_are_compared_by_their_kind() -> None:
    one = Setting("torch.Rprop")
    assert one.structure == dataclasses.replace(one, lr=0.5).structure
    assert one.structure != Setting("torch.ASGD").structure
