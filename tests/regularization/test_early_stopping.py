"""Early stopping: a series worked by hand, the weights it keeps, a loop that goes on."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ravine.errors import ModelError, SettingError
from ravine.regularization import EarlyStopping


def model(value: float) -> nn.Module:
    made = nn.BatchNorm1d(2)
    nn.init.constant_(made.weight, value)
    return made


def test_a_series_worked_by_hand() -> None:
    stopping = EarlyStopping(2, least=0.1)
    #         best 1     too small a gain   best 0.8      nothing     nothing: stop  best again    inf counts as none
    series = [(1.0, 0), (0.95, 1), (0.8, 0), (0.75, 1), (math.nan, 2), (0.5, 0), (-math.inf, 1), (0.45, 2)]
    for value, waited in series:
        assert stopping.update(value) == (waited >= 2)
        assert stopping.waited == waited
    assert stopping.best == 0.5
    assert stopping.best_update == 6


def test_higher_is_better_in_mode_max() -> None:
    stopping = EarlyStopping(1, mode="max")
    assert [stopping.update(value) for value in (0.5, 0.7, 0.7)] == [False, False, True]
    assert stopping.best == 0.7
    assert stopping.best_update == 2


def test_a_run_of_nothing_but_nan_stops_after_patience() -> None:
    stopping = EarlyStopping(3)
    assert [stopping.update(math.nan) for _ in range(3)] == [False, False, True]
    assert stopping.best is None
    assert stopping.best_update == 0


def test_restore_brings_back_the_weights_and_buffers_of_the_best_update() -> None:
    trained = model(0.0)
    weight, mean = trained.weight, trained.running_mean
    stopping = EarlyStopping(5)
    for number, loss in enumerate([3.0, 1.0, 2.0, math.nan]):
        with torch.no_grad():
            weight.fill_(number)
            mean.fill_(10 + number)
        stopping.update(loss, trained)
    stopping.restore(trained)
    assert trained.weight is weight
    assert weight.tolist() == [1.0, 1.0]
    assert mean.tolist() == [11.0, 11.0]
    with torch.no_grad():
        weight.fill_(9.0)  # training on does not reach into what is kept
    stopping.restore(trained)
    assert weight.tolist() == [1.0, 1.0]


def test_a_loop_that_goes_on_ends_as_one_that_never_stopped() -> None:
    losses = [3.0, 2.0, 2.5, 2.6, 1.9, 2.0, 2.0, 2.0]
    whole, first = EarlyStopping(3), EarlyStopping(3)
    wanted = [whole.update(loss, model(loss)) for loss in losses]
    begun = [first.update(loss, model(loss)) for loss in losses[:4]]
    state = first.state_dict()
    second = EarlyStopping(3)
    second.load_state_dict(state)
    first.update(0.0, model(7.0))  # the old one going on does not reach the new
    assert begun + [second.update(loss, model(loss)) for loss in losses[4:]] == wanted
    one, other = model(0.0), model(0.0)
    whole.restore(one)
    second.restore(other)
    assert torch.equal(one.weight, other.weight)
    assert (second.best, second.best_update, second.updates) == (whole.best, whole.best_update, whole.updates)


def test_a_state_shares_no_memory_with_what_is_kept() -> None:
    stopping = EarlyStopping(3)
    stopping.update(1.0, model(4.0))
    state = stopping.state_dict()
    state["weights"]["weight"].zero_()
    other = model(0.0)
    stopping.restore(other)
    assert other.weight.tolist() == [4.0, 4.0]


def test_an_improvement_without_a_model_forgets_the_weights_of_a_worse_one() -> None:
    stopping = EarlyStopping(3)
    stopping.update(2.0, model(1.0))
    stopping.update(1.0)
    with pytest.raises(SettingError, match=r"nothing to restore: .*stopping\.update\(value, model\)"):
        stopping.restore(model(0.0))


def test_another_models_weights_are_refused_in_one_line() -> None:
    stopping = EarlyStopping(3)
    stopping.update(2.0, model(1.0))
    with pytest.raises(ModelError, match="the model that update was given") as caught:
        stopping.restore(nn.Linear(3, 3))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("patience", [0, -1, 2.0, True, None])
def test_a_patience_that_is_no_whole_number_from_1_is_refused(patience: int) -> None:
    with pytest.raises(SettingError, match="patience is "):
        EarlyStopping(patience)


def test_other_settings_out_of_range_are_refused() -> None:
    with pytest.raises(SettingError, match="least is -1"):
        EarlyStopping(1, least=-1)
    with pytest.raises(SettingError, match="least is nan"):
        EarlyStopping(1, least=math.nan)
    with pytest.raises(SettingError, match=r"mode is 'mix'.*did you mean min"):
        EarlyStopping(1, mode="mix")
    with pytest.raises(SettingError, match="lacks best"):
        EarlyStopping(1).load_state_dict({})
