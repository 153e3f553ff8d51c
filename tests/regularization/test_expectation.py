"""The lecture's identity: the mean over all masks of what a linear unit gives in training is what it gives in evaluation.

Exact by counting out every mask of a small unit, and to the standard error by sampling.

Letters in shapes: B batch, I inputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from ravine.errors import SettingError
from ravine.regularization import (
    DropConnect,
    Dropout,
    Noise,
    SpatialDropout,
    StochasticDepth,
    VanillaDropout,
    noises,
)

INPUTS = 4
P = 0.3

UNITS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dropout": (lambda: nn.Sequential(Dropout(P), nn.Linear(INPUTS, 2)), (3, INPUTS)),
    "vanilla": (lambda: nn.Sequential(VanillaDropout(P), nn.Linear(INPUTS, 2)), (3, INPUTS)),
    "spatial": (lambda: nn.Sequential(SpatialDropout(P), nn.Conv2d(INPUTS, 2, 2)), (2, INPUTS, 3, 3)),
    "depth, rows": (lambda: nn.Sequential(StochasticDepth(P), nn.Linear(INPUTS, 2)), (3, INPUTS)),
    "depth, batch": (lambda: nn.Sequential(StochasticDepth(P, "batch"), nn.Linear(INPUTS, 2)), (3, INPUTS)),
    "connections": (lambda: DropConnect(INPUTS, 2, P), (1, INPUTS)),
}


def noise_of(unit: nn.Module) -> Noise:
    ((_, layer),) = noises(unit)
    return layer


@pytest.mark.parametrize("name", UNITS)
def test_the_mean_over_every_mask_is_the_evaluation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, shape = UNITS[name]
    torch.manual_seed(0)
    unit = make().double()
    layer, x = noise_of(unit), torch.randn(*shape, dtype=torch.float64)
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        type(layer), "keeps", lambda _self, shape: (asked.append(tuple(shape)), torch.ones(shape))[1] > 0
    )
    unit(x)
    rows, rest = asked[0][0], asked[0][1:]
    mean, total = torch.zeros_like(unit(x)), 0.0
    for bits in itertools.product(
        [False, True], repeat=torch.Size(rest).numel()
    ):  # one mask, the same for every sample
        mask = torch.tensor(bits).view(1, *rest).expand(rows, *rest)
        monkeypatch.setattr(type(layer), "keeps", lambda _self, _shape, mask=mask: mask)
        chance = (1 - P) ** sum(bits) * P ** (len(bits) - sum(bits))
        mean, total = mean + chance * unit(x), total + chance
    assert total == pytest.approx(1)
    torch.testing.assert_close(mean, unit.eval()(x), rtol=1e-6, atol=1e-6)  # p itself is kept in float32


@pytest.mark.parametrize("name", UNITS)
def test_the_mean_over_many_steps_is_near_the_evaluation(name: str) -> None:
    make, shape = UNITS[name]
    torch.manual_seed(1)
    unit, x = make(), torch.randn(*shape)
    layer, steps = noise_of(unit), 4000
    outputs = []
    with torch.no_grad():
        for step in range(steps):
            layer.step.fill_(step)
            outputs.append(unit(x))
        seen = torch.stack(outputs)
        error = seen.std(0) / steps**0.5
        assert ((seen.mean(0) - unit.eval()(x)).abs() <= 5 * error + 1e-5).all()  # of 60 numbers none is 5 errors off


@pytest.mark.parametrize("name", [name for name in UNITS if name != "depth, batch"])
def test_every_sample_has_a_mask_of_its_own(name: str) -> None:
    make, shape = UNITS[name]
    unit = make()
    same = torch.randn(1, *shape[1:]).expand(40, *shape[1:])
    out = unit(same).flatten(1)
    assert len(out.unique(dim=0)) > 1


def test_in_batch_mode_the_whole_batch_is_dropped_or_kept() -> None:
    layer, seen = StochasticDepth(0.5, "batch"), []
    for step in range(200):
        layer.step.fill_(step)
        out = layer(torch.ones(6, 3))
        assert out.unique().numel() == 1
        seen.append(out[0, 0].item())
    assert set(seen) == {0.0, 2.0}
    assert abs(seen.count(0.0) - 100) < 4 * 50**0.5


@pytest.mark.parametrize("name", UNITS)
def test_a_stack_of_trials_draws_what_each_draws_alone(name: str) -> None:
    make, shape = UNITS[name]
    torch.manual_seed(2)
    units, x = [make() for _ in range(3)], torch.randn(*shape)
    for k, unit in enumerate(units):
        noise_of(unit).seed.fill_(k)
        noise_of(unit).step.fill_(7)
        noise_of(unit).p.fill_(0.1 + 0.2 * k)
    params, buffers = stack_module_state(units)
    together = vmap(lambda p, b: functional_call(units[0], (p, b), (x,)))(params, buffers)
    for k, unit in enumerate(units):
        torch.testing.assert_close(together[k], unit(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "kind", [Dropout, SpatialDropout, VanillaDropout, StochasticDepth, lambda p: DropConnect(2, 2, p)]
)
@pytest.mark.parametrize("p", [1.0, -0.1, float("nan")])
def test_a_rate_that_is_none_is_refused(kind: Callable[[float], nn.Module], p: float) -> None:
    with pytest.raises(SettingError, match=r"p = .*must lie in \[0, 1\).*write 0.5"):
        kind(p)


@pytest.mark.parametrize("name", UNITS)
def test_an_idle_layer_drops_nothing_and_p_of_zero_neither(name: str) -> None:
    make, shape = UNITS[name]
    unit, x = make(), torch.randn(*shape)
    noise_of(unit).p.fill_(0.0)
    nothing = unit(x)
    noise_of(unit).idle = True
    torch.testing.assert_close(unit(x), nothing)
    torch.testing.assert_close(unit.eval()(x), nothing)


def test_vanilla_evaluation_multiplies_by_what_is_kept() -> None:
    x = torch.ones(2, 5)
    assert torch.allclose(VanillaDropout(0.3).eval()(x), 0.7 * x)
    assert torch.equal(Dropout(0.3).eval()(x), x)


def test_drop_connect_trains() -> None:
    layer = DropConnect(3, 2, 0.5)
    layer(torch.randn(8, 3)).square().sum().backward()
    assert layer.weight.grad is not None
    assert bool(layer.weight.grad.isfinite().all())


def test_another_mode_is_refused() -> None:
    with pytest.raises(SettingError, match="mode is 'sample'; write 'row'"):
        StochasticDepth(0.1, "sample")  # type: ignore[arg-type]


def dropped(x: Tensor) -> float:
    return float((x == 0).double().mean())


def test_rows_are_dropped_at_the_rate_asked_for() -> None:
    out = StochasticDepth(0.25)(torch.ones(20_000, 2))
    assert abs(dropped(out) - 0.25) < 4 * (0.25 * 0.75 / 20_000) ** 0.5
    assert torch.equal(out[:, 0], out[:, 1])
