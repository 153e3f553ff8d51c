"""CutMix: targets by the pixels counted, the law of the box, what it refuses.

Letters in shapes: B batch.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.regularization import CutMix, soft_targets

B = 6


def numbered(height: int = 7, width: int = 12) -> tuple[Tensor, Tensor]:
    """Images [B, 2, height, width] full of their own number, and their numbers as soft targets."""
    return torch.arange(B, dtype=torch.float32).view(B, 1, 1, 1).expand(B, 2, height, width), soft_targets(
        torch.arange(B), B
    )


def pasted(mixed: Tensor) -> Tensor:
    """Which pixels are not the image's own, of one image that met another, bool [height, width]."""
    foreign = mixed[:, 0] != torch.arange(len(mixed)).view(-1, 1, 1)
    return foreign.any(0)


@pytest.mark.parametrize("step", range(25))
def test_each_target_holds_the_share_of_pixels_of_each_class(step: int) -> None:
    x, y = numbered()
    mixed, soft = CutMix(1.0)(x, y, seed=4, step=step)
    counted = torch.stack([(mixed[:, 0] == k).double().mean((1, 2)) for k in range(B)], 1)
    torch.testing.assert_close(soft.double(), counted, rtol=0, atol=1e-6)  # float32 targets
    assert torch.equal(mixed[:, 0], mixed[:, 1])  # all channels of one box


def test_what_is_pasted_is_one_box_at_the_same_place() -> None:
    x = torch.arange(B * 7 * 12, dtype=torch.float32).view(B, 1, 7, 12)
    mixed, _ = CutMix(1.0)(x, torch.zeros(B), seed=1, step=3)
    foreign = (mixed != x).any(0)[0]
    rows, columns = foreign.any(1), foreign.any(0)
    assert torch.equal(foreign, rows[:, None] & columns)
    assert 0 < foreign.sum() < 84
    for span in (rows, columns):
        at = span.nonzero().flatten()
        assert len(at) == at[-1] - at[0] + 1
    offsets = (mixed - x) % 84
    assert torch.equal(offsets, torch.zeros_like(x))  # the same pixel of another image


def test_the_box_has_the_area_that_a_uniform_lambda_gives() -> None:
    """With lambda uniform, of a side s and its centre: E[clipped side] = s - s^2 / 4 in shares, s = sqrt(1 - lambda).

    So E[area] = E[(s - s^2/4)^2] with s^2 uniform: 1/2 - (1/2)(2/5) + (1/16)(1/3) = 0.320833.
    """
    x, y = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 200, 200), torch.zeros(2)
    steps = range(4000)
    areas = torch.tensor([CutMix(1.0)(x, y + x[:, 0, 0, 0], seed=2, step=t)[1][0].item() for t in steps])
    areas = areas[areas > 0]  # partners are drawn at random too, and half of the time each is its own
    assert abs(len(areas) / len(steps) - 0.5) < 4 * math.sqrt(0.25 / len(steps))
    tolerance = 4 * areas.std().item() / math.sqrt(len(areas)) + 1 / 200  # sides are rounded down to pixels
    assert abs(areas.mean().item() - 0.320833) < tolerance


def test_the_box_lies_anywhere_evenly() -> None:
    x, y = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 24, 40), torch.zeros(2)
    hits = torch.stack([pasted(CutMix(1.0)(x, y, seed=3, step=step)[0]).double() for step in range(2000)]).mean(0)
    halves = [hits[:12].mean(), hits[12:].mean(), hits[:, :20].mean(), hits[:, 20:].mean()]
    # of 2000 shares in [0, 1] with a variance below 1/9, and the half pixel by which an even side lies too high
    assert abs(halves[0] - halves[1]) < 4 * math.sqrt(2 / 9 / 2000) * 0.5 + 1 / 48
    assert abs(halves[2] - halves[3]) < 4 * math.sqrt(2 / 9 / 2000) * 0.5 + 1 / 80
    assert hits[12, 20] > 1.5 * hits[0, 0]  # clipped, not moved inside


def test_inputs_are_untouched_and_a_step_repeats_itself() -> None:
    x, y = numbered()
    x = x.clone()
    kept = x.clone()
    first = CutMix(1.0)(x, y, seed=1, step=1)
    again = CutMix(1.0)(x, y, seed=1, step=1)
    assert torch.equal(x, kept)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], CutMix(1.0)(x, y, seed=1, step=2)[0])


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan, math.inf])
def test_an_alpha_that_is_no_number_above_0_is_refused(alpha: float) -> None:
    with pytest.raises(SettingError, match=r"cutmix is .*above 0"):
        CutMix(alpha)


def test_tables_indices_and_a_batch_of_one_are_refused() -> None:
    x, y = numbered()
    with pytest.raises(SettingError, match=r"cutmix is for images.*\(5,\): leave cutmix out"):
        CutMix(1.0)(torch.ones(4, 5), torch.ones(4), seed=1, step=1)
    with pytest.raises(SettingError, match=r"cutmix .*soft_targets"):
        CutMix(1.0)(x, torch.arange(B), seed=1, step=1)
    with pytest.raises(SettingError, match=r"cutmix .*2 or more"):
        CutMix(1.0)(x[:1], y[:1], seed=1, step=1)
