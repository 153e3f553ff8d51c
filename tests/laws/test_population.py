"""What must hold of a population under every rule: trials do not see each other, in either engine.

A stack computes the same operations as one trial, but its matrix products and convolutions run in another
order, so results agree to rounding: 1e-5 relative after 8 steps in float32, 1e-12 in float64. Two runs of one
engine with the same K agree to the bit.

Letters in shapes: K trials, B batch.
"""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.engines import Engine, Population
from ravine.randomness import seeded
from ravine.regularization import Dropout, replace_dropout
from ravine.rules import RULES, Rule

K, B, STEPS = 7, 8, 8
RATES = [0.001 * 1.5**k for k in range(K)]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}

both_engines = pytest.mark.parametrize("engine", ["stacked", "one by one"])


# SOAP takes its first basis from one gradient. Along a side longer than that gradient's rank the basis is anybody's
# choice, rounding makes it, and no two engines then walk alike; the sides of length 3 here are never so. And the
# gradients of three logits sum to 0: along that direction Adam would make whole steps of rounding but for eps.
STRUCTURE = {"soap": {"max_precond_dim": 3, "eps": 1e-3}}


@pytest.fixture(params=RULES)
def rules(request: pytest.FixtureRequest) -> list[Rule]:
    """K rules of one kind that differ in weight decay and, where they have it, in momentum."""
    names = {field.name for field in fields(RULES[request.param])}
    return [
        RULES[request.param](
            weight_decay=0.02 * k,
            **({"momentum": 0.8 + 0.02 * k} if "momentum" in names else {}),
            **STRUCTURE.get(request.param, {}),
        )
        for k in range(K)
    ]


def network(seed: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Convolution, batch norm and dropout: all that differs between training alone and in a stack.

    The convolution has no bias: batch norm takes it away, its gradient is rounding alone, and Adam would make
    whole steps of that.
    """
    with seeded(seed, "test"):
        model = nn.Sequential(
            nn.Conv2d(1, 3, 3, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.Flatten(),
            Dropout(0.1 * seed),
            nn.Linear(12, 3),
        )
    return replace_dropout(model, seed=seed).to(dtype)


def batches(dtype: torch.dtype = torch.float32, *, own: bool = False) -> list[tuple[Tensor, Tensor]]:
    """STEPS batches: x [B, 1, 4, 4] and y [B], or one for each trial, [K, B, ...]."""
    generator = torch.Generator().manual_seed(5)
    lead = (K, B) if own else (B,)
    return [
        (
            torch.randn(*lead, 1, 4, 4, generator=generator, dtype=torch.float64).to(dtype),
            torch.randint(3, lead, generator=generator),
        )
        for _ in range(STEPS)
    ]


def population(rules: list[Rule], trials: list[int], engine: Engine, dtype: torch.dtype = torch.float32) -> Population:
    return Population(
        [network(k, dtype) for k in trials], [rules[k] for k in trials], F.cross_entropy, seeds=trials, engine=engine
    )


def trained(
    rules: list[Rule],
    trials: list[int],
    engine: Engine,
    *,
    dtype: torch.dtype = torch.float32,
    own: bool = False,
    poison: int | None = None,
) -> list[dict[str, Tensor]]:
    """The states of the trials named after STEPS steps; `poison`: a trial whose weights become NaN on the way."""
    found = population(rules, trials, engine, dtype)
    for step, (x, y) in enumerate(batches(dtype, own=own)):
        if own:
            x, y = x[trials], y[trials]
        if step == 3 and poison is not None:
            found.stack.flat[poison] = torch.nan
        found.step(x, y, [RATES[k] for k in trials], own=own)
    return [found.state(k) for k in range(len(trials))]


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(
            one[name], other[name], rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


@both_engines
@pytest.mark.parametrize("own", [False, True], ids=["shared batches", "own batches"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_each_of_seven_trials_goes_as_it_goes_alone(
    rules: list[Rule], engine: Engine, own: bool, dtype: torch.dtype
) -> None:
    together = trained(rules, list(range(K)), engine, dtype=dtype, own=own)
    for k in (0, 3, 6):
        [alone] = trained(rules, [k], engine, dtype=dtype, own=own)
        assert all(value.dtype in (dtype, torch.int64) for value in together[k].values())
        assert_close(together[k], alone, TOLERANCE[dtype])
    assert not torch.equal(together[0]["5.weight"], together[6]["5.weight"])


@both_engines
def test_the_survivors_of_a_cut_go_on_as_they_would_alone(rules: list[Rule], engine: Engine) -> None:
    kept = [5, 2]
    cut = population(rules, list(range(K)), engine)
    for step, (x, y) in enumerate(batches()):
        if step == 4:
            cut.keep(kept)
        cut.step(x, y, [RATES[k] for k in (range(K) if step < 4 else kept)])
    assert len(cut) == 2
    for position, k in enumerate(kept):
        [alone] = trained(rules, [k], engine)
        assert_close(cut.state(position), alone, TOLERANCE[torch.float32])


def test_trials_that_run_one_by_one_are_the_same_bits_after_a_cut(rules: list[Rule]) -> None:
    whole = trained(rules, list(range(K)), "one by one")
    cut = population(rules, list(range(K)), "one by one")
    for step, (x, y) in enumerate(batches()):
        if step == 4:
            cut.keep([1, 4])
        cut.step(x, y, RATES if step < 4 else [RATES[1], RATES[4]])
    for position, k in enumerate([1, 4]):
        if rules[0].elementwise:
            assert all(torch.equal(value, whole[k][name]) for name, value in cut.state(position).items())
        else:  # products of matrices are summed in another order when fewer are stacked
            assert_close(cut.state(position), whole[k], TOLERANCE[torch.float32])


@both_engines
def test_a_trial_that_became_nan_leaves_the_bits_of_the_others(rules: list[Rule], engine: Engine) -> None:
    well, ill = (trained(rules, list(range(K)), engine, poison=poison) for poison in (None, 2))
    for k in range(K):
        if k == 2:
            assert ill[k]["5.weight"].isnan().all()
        else:
            assert all(torch.equal(value, ill[k][name]) for name, value in well[k].items())


@both_engines
def test_another_trials_rate_does_not_move_this_trial(rules: list[Rule], engine: Engine) -> None:
    calm, wild = (population(rules, list(range(K)), engine) for _ in range(2))
    for x, y in batches():
        calm.step(x, y, RATES)
        wild.step(x, y, [1.0, *RATES[1:]])
    assert not torch.equal(calm.stack.flat[0], wild.stack.flat[0])
    assert torch.equal(calm.stack.flat[1:], wild.stack.flat[1:])


def test_losses_and_norms_are_the_same_in_both_engines(rules: list[Rule]) -> None:
    one, other = (population(rules, list(range(K)), engine) for engine in ("stacked", "one by one"))
    for x, y in batches():
        for here, there in zip(one.step(x, y, RATES), other.step(x, y, RATES), strict=True):
            torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-6)
