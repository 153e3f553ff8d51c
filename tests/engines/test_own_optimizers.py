"""The faces of rules that torch.optim lacks: the averages of schedule-free, Muon as the twin of torch's, half precision."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine import optim
from ravine.errors import SettingError

AVERAGING = [optim.ScheduleFreeSGD, optim.ScheduleFreeAdamW]
every_average = pytest.mark.parametrize("kind", AVERAGING)


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def walk(optimizer: torch.optim.Optimizer, params: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        for index, param in enumerate(params):
            param.grad = draw(*param.shape, seed=100 * step + index, dtype=param.dtype)
        optimizer.step()


@every_average
def test_evaluating_in_between_changes_no_bit_of_the_training(kind: Any) -> None:
    params, undisturbed = ([nn.Parameter(draw(3)), nn.Parameter(draw(2, 2))] for _ in range(2))
    optimizer, other = kind(params, lr=0.1), kind(undisturbed, lr=0.1)
    walk(other, undisturbed, range(6))
    for step in range(6):
        walk(optimizer, params, range(step, step + 1))
        optimizer.eval()
        optimizer.eval()
        optimizer.train()
        optimizer.train()
    assert all(torch.equal(a, b) for a, b in zip(params, undisturbed, strict=True))


def test_eval_puts_the_average_of_all_steps_there() -> None:
    """Without momentum's share, weighted alike at a constant rate: the mean of the places z."""
    param = nn.Parameter(torch.tensor([10.0], dtype=torch.float64))
    optimizer = optim.ScheduleFreeSGD([param], lr=1.0, momentum=0.5)
    for step in range(4):
        param.grad = torch.tensor([float(step + 1)], dtype=torch.float64)
        optimizer.step()
    optimizer.eval()
    places = 10 - torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64).cumsum(0)
    assert param.item() == pytest.approx(places.mean().item(), rel=1e-14)


@every_average
def test_a_step_from_the_averages_is_refused(kind: Any) -> None:
    param = nn.Parameter(draw(3))
    optimizer = kind([param], lr=0.1)
    walk(optimizer, [param], range(2))
    optimizer.eval()
    averages = param.detach().clone()
    with pytest.raises(SettingError, match=r"holds? its averages.*call optimizer\.train\(\) first"):
        walk(optimizer, [param], range(1))
    assert torch.equal(param, averages)


@every_average
def test_a_state_saved_while_evaluating_goes_on_training(kind: Any) -> None:
    through, param = nn.Parameter(draw(3)), nn.Parameter(draw(3))
    walk(kind([through], lr=0.1), [through], range(6))
    optimizer = kind([param], lr=0.1)
    walk(optimizer, [param], range(3))
    optimizer.eval()
    resumed = nn.Parameter(param.detach().clone())
    again = kind([resumed], lr=0.1)
    again.load_state_dict(optimizer.state_dict())
    again.train()
    walk(again, [resumed], range(3, 6))
    assert torch.equal(resumed, through)


@every_average
def test_eval_before_the_first_step_leaves_the_weights_alone(kind: Any) -> None:
    param = nn.Parameter(draw(3))
    optimizer = kind([param])
    optimizer.eval()
    assert torch.equal(param, draw(3))


def test_muon_has_torchs_arguments_first_with_their_defaults() -> None:
    ours, theirs = (list(inspect.signature(k.__init__).parameters.values()) for k in (optim.Muon, torch.optim.Muon))
    assert [(p.name, p.default) for p in ours[: len(theirs)]] == [
        (p.name, pytest.approx(p.default) if isinstance(p.default, tuple) else p.default) for p in theirs
    ]


# torch iterates in bfloat16, which keeps 3 digits; a few steps of size lr differ by a share of that.
@pytest.mark.parametrize("adjust", [None, "original", "match_rms_adamw"])
def test_a_matrix_under_muon_goes_where_torchs_goes_and_their_states_are_exchanged(adjust: str | None) -> None:
    ends = []
    for first, second in ((optim.Muon, torch.optim.Muon), (torch.optim.Muon, optim.Muon), (torch.optim.Muon,) * 2):
        param = nn.Parameter(draw(6, 4, dtype=torch.float32))
        saving = first([param], lr=0.01, adjust_lr_fn=adjust)
        walk(saving, [param], range(4))
        loading = second([param], lr=1.0)
        loading.load_state_dict(saving.state_dict())
        walk(loading, [param], range(4, 8))
        ends.append(param.detach())
    moved = (ends[2] - draw(6, 4, dtype=torch.float32)).norm()
    assert all((end - ends[2]).norm() < 0.02 * moved for end in ends)


def test_muon_steps_what_is_no_matrix_and_groups_say_what_is_none() -> None:
    matrix, table, bias = nn.Parameter(draw(4, 3)), nn.Parameter(draw(5, 2)), nn.Parameter(draw(3))
    alone = [nn.Parameter(draw(5, 2)), nn.Parameter(draw(3))]
    optimizer = optim.Muon([{"params": [matrix, bias]}, {"params": [table], "matrix": False}], lr=0.01)
    adamw = optim.AdamW(alone, lr=0.01, weight_decay=0.1)
    for step in range(3):
        for index, param in enumerate([table, bias]):
            param.grad = draw(*param.shape, seed=100 * step + index)
        matrix.grad = draw(4, 3, seed=step)
        optimizer.step()
    walk(adamw, alone, range(3))
    torch.testing.assert_close(table, alone[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(bias, alone[1], rtol=1e-12, atol=1e-12)
    assert "exp_avg_sq" not in optimizer.state[matrix]


@pytest.mark.parametrize("name", ["Muon", "Shampoo", "SOAP", "ScheduleFreeSGD", "ScheduleFreeAdamW", "LAMB", "Lion"])
def test_a_half_precision_state_is_saved_and_loaded_without_losing_a_bit(name: str) -> None:
    """The matrices of Shampoo and SOAP and the sums of schedule-free are float32 beside bfloat16 parameters."""
    through, stopped = (nn.Parameter(draw(6, 4, dtype=torch.bfloat16)) for _ in range(2))
    kind = getattr(optim, name)
    walk(kind([through], lr=0.01), [through], range(24))
    optimizer = kind([stopped], lr=0.01)
    walk(optimizer, [stopped], range(12))
    again = kind([stopped], lr=0.01)
    again.load_state_dict(optimizer.state_dict())
    dtypes = [{key: value.dtype for key, value in each.state[stopped].items()} for each in (optimizer, again)]
    assert dtypes[0] == dtypes[1]
    walk(again, [stopped], range(12, 24))
    assert torch.equal(stopped, through)
