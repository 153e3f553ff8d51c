"""SGD: steps worked by hand, and which settings go together."""

from __future__ import annotations

import pytest
import torch

from ravine.errors import SettingError
from ravine.rules import SGD, SGDState

PARAM, GRAD = torch.tensor([4.0]), torch.tensor([2.0])


def test_plain_descent_steps_by_lr_times_the_gradient() -> None:
    param, state = SGD().update(PARAM, GRAD, SGD().init(PARAM), lr=0.5, step=1)
    assert param.item() == 4 - 0.5 * 2
    assert state == SGDState(None), "plain descent needs no memory"


def test_weight_decay_is_added_to_the_gradient() -> None:
    param, _ = SGD(weight_decay=0.25).update(PARAM, GRAD, SGDState(None), lr=0.5, step=1)
    assert param.item() == 4 - 0.5 * (2 + 0.25 * 4)


def test_the_second_step_of_momentum_by_hand() -> None:
    rule = SGD(momentum=0.5)
    param, state = rule.update(PARAM, GRAD, rule.init(PARAM), lr=0.5, step=1)
    assert (param.item(), state.velocity.item()) == (3.0, 2.0)
    param, state = rule.update(param, torch.tensor([1.0]), state, lr=0.5, step=2)
    assert state.velocity.item() == 0.5 * 2 + 1
    assert param.item() == 3 - 0.5 * 2


def test_nesterov_looks_one_step_ahead_by_hand() -> None:
    rule = SGD(momentum=0.5, nesterov=True)
    param, state = rule.update(PARAM, GRAD, rule.init(PARAM), lr=0.5, step=1)
    assert state.velocity.item() == 2
    assert param.item() == 4 - 0.5 * (2 + 0.5 * 2)


def test_dampening_begins_with_the_second_step() -> None:
    rule = SGD(momentum=0.5, dampening=0.25)
    _, first = rule.update(PARAM, GRAD, rule.init(PARAM), lr=0.5, step=1)
    assert first.velocity.item() == 2
    _, second = rule.update(PARAM, GRAD, first, lr=0.5, step=2)
    assert second.velocity.item() == 0.5 * 2 + 0.75 * 2


def test_a_trial_without_momentum_stands_beside_trials_that_have_it() -> None:
    rule = SGD(momentum=torch.tensor([[0.0], [0.5]], dtype=torch.float64))
    param = torch.full((2, 1), 4.0)
    state = rule.init(param)
    for step in (1, 2):
        param, state = rule.update(param, torch.full((2, 1), 2.0), state, lr=0.5, step=step)
    assert param.flatten().tolist() == [4 - 1 - 1, 4 - 1 - 1.5]


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9, "dampening": 0.1}], ids=str)
def test_nesterov_without_momentum_or_with_dampening_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=r"write momentum=0\.9, dampening=0"):
        SGD(nesterov=True, **settings)


def test_a_dampening_of_exactly_1_is_allowed_and_no_more() -> None:
    assert SGD(momentum=0.9, dampening=1.0).dampening == 1.0
    with pytest.raises(SettingError, match=r"SGD\.dampening is 1\.01; it must lie in \[0, 1\]"):
        SGD(momentum=0.9, dampening=1.01)


@pytest.mark.parametrize("momentum", [0.3, 0.9, 0.99])
def test_both_forms_of_nesterov_give_one_sequence(momentum: float) -> None:
    """The classical one takes its gradient ahead; the practical one walks the places ahead themselves."""
    curvature = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
    classical, practical = SGD(momentum=momentum), SGD(momentum=momentum, nesterov=True)
    x = y = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    x_state, y_state = classical.init(x), practical.init(y)
    for step in range(1, 101):
        ahead = classical.ahead(x, x_state, lr=0.1)
        torch.testing.assert_close(ahead, y, rtol=1e-12, atol=1e-12)  # float64, another order of rounding
        x, x_state = classical.update(x, curvature * ahead, x_state, lr=0.1, step=step)
        y, y_state = practical.update(y, curvature * y, y_state, lr=0.1, step=step)
    assert not torch.allclose(x, y, rtol=1e-6), "the sequences differ; only the places ahead agree"


def test_plain_descent_looks_nowhere_ahead() -> None:
    assert torch.equal(SGD().ahead(PARAM, SGDState(None), lr=0.5), PARAM)
