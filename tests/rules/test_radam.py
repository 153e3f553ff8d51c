"""RAdam: momentum's steps first, Adam's later, and the two kinds side by side in one stack."""

from __future__ import annotations

import pytest
import torch

from ravine.rules import Adam, RAdam


def test_the_first_five_steps_do_not_look_at_the_size_of_the_gradient() -> None:
    rule = RAdam()
    plain = [rule.coefficients(0.1, step).plain > 0 for step in range(1, 9)]
    assert plain == [True] * 5 + [False] * 3  # rho of beta2 = 0.999 passes 5 at step 6
    param, state = rule.update(torch.zeros(1), torch.tensor([100.0]), rule.init(torch.zeros(1)), lr=0.1, step=1)
    assert param.item() == pytest.approx(-0.1 * 100.0)
    assert state.square.item() == pytest.approx(0.001 * 100.0**2)


def test_after_many_steps_it_is_adam() -> None:
    """To the rounding of rect, which tends to 1."""
    ours, theirs = RAdam().coefficients(0.1, 100_000), Adam().coefficients(0.1, 100_000)
    assert ours.plain == 0
    assert ours.rate == pytest.approx(theirs.rate, rel=1e-9)


def test_a_short_memory_is_never_rectified() -> None:
    """With beta2 = 0.6 rho_inf is 4, below 5 at every step; nothing is divided by 0 on the way."""
    for beta2 in (0.0, 0.5, 0.6, 2 / 3):
        by = [RAdam(beta2=beta2).coefficients(0.1, step) for step in (1, 2, 10, 1000)]
        assert all(each.rate == 0 and each.plain > 0 for each in by)


def test_trials_of_both_kinds_stand_side_by_side() -> None:
    rule = RAdam(beta2=torch.tensor([[0.5], [0.999]], dtype=torch.float64))
    by = rule.coefficients(0.1, 100)
    for k, beta2 in enumerate((0.5, 0.999)):
        alone = RAdam(beta2=beta2).coefficients(0.1, 100)
        assert [v[k].item() if isinstance(v, torch.Tensor) and v.numel() > 1 else v for v in by][4:] == pytest.approx(
            list(alone)[4:], rel=1e-12
        )


def test_decoupled_decay_shrinks_the_weight_itself() -> None:
    param, zero = torch.tensor([2.0]), torch.tensor([0.0])
    rule = RAdam(weight_decay=0.5, decoupled_weight_decay=True)
    moved, state = rule.update(param, zero, rule.init(param), lr=0.1, step=1)
    assert moved.item() == pytest.approx(2.0 * 0.95)
    assert state.mean.item() == 0
