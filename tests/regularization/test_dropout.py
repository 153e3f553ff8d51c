"""Dropout without a generator: the share, the scale, the draws alone and in a stack.

Letters in shapes: K trials, B batch, C channels.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from ravine.errors import SettingError
from ravine.randomness import derive
from ravine.regularization import Dropout, SpatialDropout, dropouts, keep_mask, replace_dropout

COUNT = 200_000


def mask(p: float, seed: int, step: int, *shape: int) -> Tensor:
    return keep_mask(torch.Size(shape or (COUNT,)), torch.tensor(p), torch.tensor(seed), torch.tensor(step))


def layer(p: float = 0.5, *, seed: int = 0, step: int = 1, kind: type[Dropout] = Dropout) -> Dropout:
    made = kind(p, seed=seed)
    made.step.fill_(step)
    return made


@pytest.mark.parametrize("p", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("seed", [0, 1, derive(7, "dropout", "3")])
def test_the_share_dropped_is_p(p: float, seed: int) -> None:
    dropped = 1 - mask(p, seed, 3).double().mean().item()
    # four standard errors, and the 2^-16 to which a 16-bit draw can tell rates apart
    assert abs(dropped - p) <= 4 * math.sqrt(p * (1 - p) / COUNT) + 2**-16


@pytest.mark.parametrize("axis", ["seed", "step"])
def test_each_seed_and_each_step_has_a_mask_of_its_own(axis: str) -> None:
    masks = [mask(0.5, *((number, 1) if axis == "seed" else (1, number))) for number in range(4)]
    assert torch.equal(masks[0], mask(0.5, *((0, 1) if axis == "seed" else (1, 0))))
    for i, one in enumerate(masks):
        for other in masks[:i]:
            agree = (one == other).double().mean().item()
            assert abs(agree - 0.5) < 4 * math.sqrt(0.25 / COUNT)  # as two independent masks would


def test_neighbouring_entries_are_dropped_independently() -> None:
    kept = mask(0.5, 5, 1).double() - 0.5
    for lag in (1, 2, 3, 4, 8, 64):
        correlation = 4 * (kept[lag:] * kept[:-lag]).mean().item()
        assert abs(correlation) < 4.5 / math.sqrt(COUNT)


def test_evaluation_is_the_identity() -> None:
    x = torch.randn(4, 3)
    assert layer(0.9).eval()(x) is x


def test_the_mean_over_steps_is_the_evaluation_output() -> None:
    dropout, unit, x = layer(0.4), nn.Linear(16, 1), torch.randn(1, 16, generator=torch.Generator().manual_seed(1))
    outputs = []
    with torch.no_grad():
        for step in range(4000):
            dropout.step.fill_(step)
            outputs.append(unit(dropout(x)).item())
        wanted = unit(x).item()
    seen = torch.tensor(outputs, dtype=torch.float64)
    assert abs(seen.mean().item() - wanted) < 4 * seen.std().item() / math.sqrt(len(seen))
    assert seen.std() > 0.01


def test_gradients_pass_where_entries_were_kept_and_nowhere_else() -> None:
    x = torch.ones(50, requires_grad=True)
    out = layer(0.5)(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())
    assert set(out.tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_dtype_of_the_input_is_kept(dtype: torch.dtype) -> None:
    assert layer()(torch.ones(8, dtype=dtype)).dtype == dtype


def test_stacked_trials_drop_what_each_drops_alone() -> None:
    rates, x = [0.0, 0.2, 0.7], torch.randn(6, 10, generator=torch.Generator().manual_seed(3))
    layers = [layer(p, seed=seed, step=9) for seed, p in enumerate(rates)]
    _, buffers = stack_module_state(layers)
    together = vmap(lambda one: functional_call(layers[0], one, (x,)))(buffers)
    assert torch.equal(together, torch.stack([each(x) for each in layers]))
    assert (together[2] == 0).any()


def test_spatial_dropout_drops_whole_channels() -> None:
    out = layer(0.5, kind=SpatialDropout)(torch.ones(20, 8, 3, 3)).flatten(2)
    assert torch.equal(out, out[..., :1].expand_as(out))
    assert 0.3 < (out[..., 0] == 0).float().mean() < 0.7


def test_nothing_of_a_dropout_layer_is_saved_with_the_weights() -> None:
    assert layer().state_dict() == {}


@pytest.mark.parametrize("p", [1, 1.0, -0.1, 1 - 1e-9, float("nan"), 2])
def test_a_rate_outside_its_range_is_refused(p: float) -> None:
    with pytest.raises(SettingError, match=r"p = .*\[0, 1\)"):
        Dropout(p)
    with pytest.raises(SettingError, match="dropout is"):
        replace_dropout(nn.Sequential(nn.Dropout()), seed=0, p=p)


def test_the_largest_rate_drops_nearly_all_and_stays_finite() -> None:
    out = layer(1 - 2**-16)(torch.ones(COUNT))
    assert out.isfinite().all()
    assert (out == 0).float().mean() > 0.999


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.Dropout2d(0.1),
        nn.Flatten(),
        nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.2)),
        nn.AlphaDropout(),
    )


def test_torchs_dropout_is_swapped_and_alpha_dropout_is_left() -> None:
    swapped = replace_dropout(network(), seed=7)
    found = dict(dropouts(swapped))
    assert list(found) == ["1", "3.1"]
    assert [type(each) for each in found.values()] == [SpatialDropout, Dropout]
    assert [round(each.p.item(), 6) for each in found.values()] == [0.1, 0.2]
    assert isinstance(swapped[4], nn.AlphaDropout)


def test_each_layer_is_seeded_by_its_name_and_takes_the_rate_given() -> None:
    found = dict(dropouts(replace_dropout(network(), seed=7, p=0.25)))
    assert [each.seed.item() for each in found.values()] == [derive(7, "dropout", name) for name in found]
    assert [each.p.item() for each in found.values()] == [0.25, 0.25]


def test_one_layer_used_in_two_places_becomes_two_with_draws_of_their_own() -> None:
    shared = nn.Dropout(0.5)
    swapped = replace_dropout(nn.Sequential(shared, nn.ReLU(), shared), seed=1)
    assert not any(isinstance(each, nn.Dropout) for each in swapped.modules())
    x = torch.ones(1000)
    assert not torch.equal(swapped[0](x), swapped[2](x))


def test_a_module_that_is_a_dropout_layer_itself_is_replaced() -> None:
    swapped = replace_dropout(nn.Dropout(0.3).eval(), seed=1)
    assert isinstance(swapped, Dropout)
    assert not swapped.training
    assert swapped.seed.item() == derive(1, "dropout", "")


def test_torchs_rate_of_1_becomes_the_largest_one_there_is() -> None:
    assert replace_dropout(nn.Dropout(1.0), seed=0).p.item() == 1 - 2**-16


def test_masks_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    layer()(torch.ones(10))
    assert torch.equal(before, torch.get_rng_state())
