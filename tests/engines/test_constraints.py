"""Penalties and limits of a population, held to plain loops over one module with torch's optimizers.

Letters in shapes: K trials, P parameters of one trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.engines import Engine, Layout, Population
from ravine.engines.constraints import Constraints, slices
from ravine.engines.updates import FEWEST
from ravine.errors import SettingError
from ravine.randomness import seeded
from ravine.regularization import L1, L2, ElasticNet, MaxNorm, Penalty
from ravine.rules import LAMB, SGD, Adam, Rule

K, STEPS = 4, 8
RATES = [0.02, 0.05, 0.1, 0.2]

PENALTIES: list[Penalty | None] = [L1(0.02), None, L2(0.1), ElasticNet(0.01, 2.0)]
LIMITS: list[MaxNorm | None] = [MaxNorm(0.5), MaxNorm(0.8), None, MaxNorm(0.3)]

both_engines = pytest.mark.parametrize("engine", ["stacked", "one by one"])
both_ways = pytest.mark.parametrize("proximal", [False, True], ids=["gradient", "proximal"])


def network(seed: int, width: int = 6) -> nn.Module:
    """A convolution, a norm and a linear layer; packed in torch's operations when narrow, compiled when wide."""
    with seeded(seed, "test"):
        layers = [nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Tanh(), nn.Flatten(), nn.Linear(4 * width, 3)]
        return nn.Sequential(*layers).double()


def batches(count: int = STEPS) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(6)
    for _ in range(count):
        yield (
            torch.randn(8, 1, 4, 4, generator=generator, dtype=torch.float64),
            torch.randint(3, (8,), generator=generator),
        )


def population(
    engine: Engine = "stacked",
    *,
    trials: Sequence[int] = range(K),
    rule: Rule = SGD(momentum=0.9),  # noqa: B008 - a frozen value
    width: int = 6,
    penalties: Sequence[Penalty | None] | None = None,
    limits: Sequence[MaxNorm | None] | None = None,
    proximal: bool = False,
) -> Population:
    return Population(
        [network(k, width) for k in trials],
        [rule] * len(trials),
        F.cross_entropy,
        engine=engine,
        penalties=penalties and [penalties[k] for k in trials],
        limits=limits and [limits[k] for k in trials],
        proximal=proximal,
    )


def alone(
    k: int,
    optimizer_of: Callable[..., torch.optim.Optimizer],
    width: int,
    *,
    penalty: Penalty | None,
    limit: MaxNorm | None,
    proximal: bool,
) -> dict[str, Tensor]:
    """The loop that a reader would write for one trial."""
    module, lr = network(k, width), RATES[k]
    optimizer = optimizer_of(module.parameters(), lr=lr)
    for x, y in batches():
        optimizer.zero_grad()
        loss = F.cross_entropy(module(x), y)
        if penalty and not proximal:
            loss = loss + penalty(module)
        loss.backward()
        optimizer.step()
        if penalty and proximal:
            penalty.shrink_(module, lr)
        if limit:
            limit.apply_(module)
    return module.state_dict()


@both_engines
@both_ways
@pytest.mark.parametrize("width", [6, 40])
@pytest.mark.parametrize(
    ("rule", "optimizer"),
    [
        (SGD(momentum=0.9), lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)),
        (Adam(eps=1e-3), lambda p, lr: torch.optim.Adam(p, lr, eps=1e-3)),
    ],
    ids=["SGD", "Adam"],
)  # a larger eps, as batch norm takes the convolution's bias away: its gradient is rounding, and Adam would follow it
@pytest.mark.parametrize(("penalties", "limits"), [(PENALTIES, None), (None, LIMITS), (PENALTIES, LIMITS)])
def test_a_population_trains_as_a_plain_loop_with_the_penalty_added(
    engine: Engine,
    proximal: bool,
    width: int,
    rule: Rule,
    optimizer: Any,
    penalties: list[Penalty | None] | None,
    limits: list[MaxNorm | None] | None,
) -> None:
    proximal = proximal and penalties is not None
    found = population(engine, rule=rule, width=width, penalties=penalties, limits=limits, proximal=proximal)
    assert (found.stack.layout.size >= FEWEST) == (width == 40)
    for x, y in batches():
        found.step(x, y, RATES)
    for k in range(K):
        wanted = alone(
            k,
            optimizer,
            width,
            penalty=penalties[k] if penalties else None,
            limit=limits[k] if limits else None,
            proximal=proximal,
        )
        torch.testing.assert_close(found.state(k), dict(wanted), rtol=1e-9, atol=1e-10)


@both_engines
def test_proximal_trials_end_with_exact_zeros_as_their_strength_says(engine: Engine) -> None:
    penalties = [L1(strength) for strength in (0.0, 0.01, 0.1, 10.0)]
    found = population(engine, rule=SGD(), penalties=penalties, proximal=True)
    for x, y in batches(30):
        found.step(x, y, [0.1] * K)
    zeros = [sum((found.state(k)[name] == 0).sum().item() for name in ("0.weight", "4.weight")) for k in range(K)]
    assert zeros[0] == 0 < zeros[1] < zeros[2] < zeros[3] == found.stack.layout.decayed
    assert (found.state(3)["4.bias"] != 0).all()


@both_engines
@both_ways
def test_another_trials_strength_does_not_move_this_trial(engine: Engine, proximal: bool) -> None:
    calm = population(engine, penalties=PENALTIES, limits=LIMITS, proximal=proximal)
    wild = population(
        engine, penalties=[L2(3.0), *PENALTIES[1:]], limits=[MaxNorm(0.01), *LIMITS[1:]], proximal=proximal
    )
    for x, y in batches():
        calm.step(x, y, RATES)
        wild.step(x, y, RATES)
    assert not torch.equal(calm.stack.flat[0], wild.stack.flat[0])
    assert torch.equal(calm.stack.flat[1:], wild.stack.flat[1:])


@both_engines
@both_ways
def test_a_trial_without_is_the_same_bits_as_in_a_population_without(engine: Engine, proximal: bool) -> None:
    mixed = population(engine, penalties=PENALTIES, limits=[*LIMITS[:1], None, *LIMITS[2:]], proximal=proximal)
    free = population(engine)
    for x, y in batches():
        mixed.step(x, y, RATES)
        free.step(x, y, RATES)
    assert torch.equal(mixed.stack.flat[1], free.stack.flat[1])
    assert not torch.equal(mixed.stack.flat[0], free.stack.flat[0])


@both_engines
@both_ways
@pytest.mark.parametrize("kept", [[3, 0], [2]])
def test_the_survivors_of_a_cut_keep_their_strengths(engine: Engine, proximal: bool, kept: list[int]) -> None:
    cut = population(engine, penalties=PENALTIES, limits=LIMITS, proximal=proximal)
    for step, (x, y) in enumerate(batches()):
        if step == 3:
            cut.keep(kept)
        cut.step(x, y, RATES if step < 3 else [RATES[k] for k in kept])
    whole = population(engine, penalties=PENALTIES, limits=LIMITS, proximal=proximal)
    for x, y in batches():
        whole.step(x, y, RATES)
    torch.testing.assert_close(cut.stack.flat, whole.stack.flat[kept], rtol=1e-9, atol=1e-11)


@both_ways
def test_one_trial_alone_trains_as_it_does_among_others(proximal: bool) -> None:
    whole = population(penalties=PENALTIES, limits=LIMITS, proximal=proximal)
    single = population(trials=[3], penalties=PENALTIES, limits=LIMITS, proximal=proximal)
    for x, y in batches():
        whole.step(x, y, RATES)
        single.step(x, y, RATES[3:])
    torch.testing.assert_close(single.stack.flat[0], whole.stack.flat[3], rtol=1e-9, atol=1e-11)


@both_ways
def test_a_rule_with_a_norm_in_it_meets_the_same_penalties(proximal: bool) -> None:
    found = population(rule=LAMB(weight_decay=0.0), penalties=PENALTIES, proximal=proximal)
    x, y = next(batches())
    before = found.stack.flat.clone()
    found.step(x, y, RATES)
    for k, penalty in enumerate(PENALTIES):
        module, rule = network(k), LAMB(weight_decay=0.0)
        loss = F.cross_entropy(module(x), y)
        (loss + penalty(module) if penalty and not proximal else loss).backward()
        weight = module[4].weight
        wanted, _ = rule.update(weight.detach(), weight.grad, rule.init(weight.detach()), lr=RATES[k], step=1)
        if penalty and proximal:
            wanted = penalty.proximal(wanted, RATES[k])
        torch.testing.assert_close(found.state(k)["4.weight"], wanted, rtol=1e-9, atol=1e-11)
    assert not torch.equal(found.stack.flat, before)


@both_ways
@pytest.mark.parametrize(
    ("include", "exclude", "touched"),
    [
        ((), (), {"0.weight", "4.weight"}),
        ((), ("0.*",), {"4.weight"}),
        (("*.bias",), (), {"0.bias", "1.bias", "4.bias"}),
        (("0.weight", "4.bias"), (), {"0.weight", "4.bias"}),
    ],
)
def test_patterns_choose_what_penalties_and_limits_touch(
    proximal: bool, include: Any, exclude: Any, touched: Any
) -> None:
    held = population(
        penalties=[L2(0.5, include, exclude)] * K, limits=[MaxNorm(0.05, include, exclude)] * K, proximal=proximal
    )
    free = population()
    x, y = next(batches())
    for each in (held, free):
        each.step(x, y, RATES)
    for k in range(K):
        here, there = held.state(k), free.state(k)
        moved = {name for name in held.stack.layout.shapes if not torch.equal(here[name], there[name])}
        assert touched - {"1.bias"} <= moved <= touched  # that bias starts at 0, where an L2 has no slope
        assert all(here[name].flatten(1).norm(dim=1).max() <= 0.05 + 1e-9 for name in touched if here[name].ndim > 1)


def test_a_frozen_weight_is_neither_shrunk_nor_bounded() -> None:
    modules = [network(k) for k in range(2)]
    for module in modules:
        module[0].requires_grad_(False)
    found = Population(
        modules, [SGD()] * 2, F.cross_entropy, penalties=[L1(1.0)] * 2, proximal=True, limits=[MaxNorm(0.01)] * 2
    )
    found.step(*next(batches()), [0.1, 0.2])
    for k in range(2):
        assert torch.equal(found.state(k)["0.weight"], network(k)[0].weight)
        assert found.state(k)["4.weight"].norm(dim=1).max() <= 0.01 + 1e-12


def constraints(**given: Any) -> Constraints:
    module = network(0)
    settings = {"penalties": None, "proximal": False, "limits": None, **given}
    return Constraints(module, Layout.of(module), K, **settings)


@pytest.mark.parametrize("given", [{}, {"penalties": [None] * K, "proximal": True}, {"limits": [None] * K}])
def test_without_penalties_and_limits_nothing_is_touched(given: dict[str, Any]) -> None:
    found = constraints(**given)
    assert not found.project
    size = Layout.of(network(0)).size
    flat, grads, change = (
        torch.full((K, size), torch.nan) for _ in range(3)
    )  # NaN would show that it was computed with
    versions = [each._version for each in (flat, grads, change)]
    found.before_(grads, flat)
    found.after_(flat, change, RATES)
    assert [each._version for each in (flat, grads, change)] == versions


def test_neighbours_in_packed_memory_are_one_slice() -> None:
    layout = Layout.of(network(0))
    conv, linear = 6 * 9, 24 * 3
    assert list(layout.shapes)[:2] == ["0.weight", "4.weight"]
    assert slices(layout, {"0.weight", "4.weight"}) == [slice(0, layout.decayed)] == [slice(0, conv + linear)]
    assert slices(layout, {"4.weight"}) == [slice(conv, conv + linear)]
    assert slices(layout, {"0.weight", "0.bias"}) == [slice(0, conv), slice(conv + linear, conv + linear + 6)]
    assert slices(layout, {"4.weight", "0.bias"}) == [slice(conv, conv + linear + 6)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"penalties": [L2(0.1)] * (K - 1)}, "penalties needs a list with one entry per trial, got 3 for 4 trials"),
        ({"penalties": L2(0.1)}, r"penalties needs a list .* got L2\(l2=0.1"),
        ({"limits": [MaxNorm(1.0)] * (K + 1)}, "limits needs a list with one entry per trial, got 5 for 4 trials"),
        ({"penalties": [0.1] * K}, r"penalties holds 0.1; .* Penalty: write L2\(1e-4\)"),
        ({"limits": [L2(0.1)] * K}, r"limits holds L2\(.*write MaxNorm"),
        (
            {"penalties": [L2(0.1), None, L1(0.1, exclude=("0.*",)), None]},
            "include and exclude of the penalties differ",
        ),
        ({"limits": [MaxNorm(1.0, include=("0.*",)), *[MaxNorm(1.0)] * 3]}, "include and exclude of the limits differ"),
        ({"penalties": [L2(0.1, include=("1.wieght",))] * K}, "did you mean 1.weight"),
        ({"limits": [MaxNorm(1.0, exclude=("9.*",))] * K}, r"exclude has the pattern '9.\*'"),
        ({"proximal": True}, "none are given"),
    ],
)
def test_what_a_population_cannot_hold_back_by_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        constraints(**given)
