"""The twins of torch.optim's: arguments, layout of saved states, exchange of them.

Numbers are compared at length in tests/oracles/test_torch_optim.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine import optim
from ravine.errors import SettingError
from ravine.randomness import seeded

NAMES = ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Adadelta", "NAdam", "RAdam", "Adamax"]
TWINS = [(getattr(optim, name), getattr(torch.optim, name)) for name in NAMES]
CASES = [
    (*TWINS[0], {}),
    (*TWINS[0], {"momentum": 0.9, "dampening": 0.1}),
    (*TWINS[0], {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (*TWINS[1], {"weight_decay": 0.1}),
    (*TWINS[1], {"amsgrad": True}),
    (*TWINS[1], {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    (*TWINS[2], {}),
    (*TWINS[2], {"amsgrad": True, "betas": (0.8, 0.99)}),
    (*TWINS[3], {"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    (*TWINS[4], {"weight_decay": 0.1}),
    (*TWINS[4], {"momentum": 0.9, "centered": True}),
    (*TWINS[5], {"rho": 0.8}),
    (*TWINS[6], {"momentum_decay": 0.1}),
    (*TWINS[7], {"betas": (0.8, 0.8)}),
    (*TWINS[8], {"weight_decay": 0.1}),
]
every_twin = pytest.mark.parametrize(("ours", "theirs"), TWINS, ids=NAMES)
every_case = pytest.mark.parametrize(("ours", "theirs", "settings"), CASES)


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def start(dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    return [nn.Parameter(draw(3, seed=1, dtype=dtype)), nn.Parameter(draw(2, 2, seed=2, dtype=dtype))]


def walk(optimizer: torch.optim.Optimizer, params: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        for index, param in enumerate(params):
            param.grad = draw(*param.shape, seed=100 * step + index, dtype=param.dtype)
        optimizer.step()


def assert_same(left: list[nn.Parameter], right: list[nn.Parameter], tolerance: float = 1e-12) -> None:
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.fixture(autouse=True)
def doubles() -> Iterator[None]:
    """Torch keeps NAdam's product of momenta in the default dtype: in float32 it is wrong by 1e-8."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@every_twin
def test_arguments_have_torchs_names_order_kinds_and_defaults(ours: Any, theirs: Any) -> None:
    mine, torchs = (
        [(each.name, each.kind, each.default) for each in inspect.signature(kind.__init__).parameters.values()]
        for kind in (ours, theirs)
    )
    assert mine == torchs


@every_twin
def test_a_group_holds_torchs_settings(ours: Any, theirs: Any) -> None:
    mine, torchs = (kind(start()).state_dict()["param_groups"] for kind in (ours, theirs))
    assert mine == torchs


@every_case
def test_a_saved_state_has_torchs_layout(ours: Any, theirs: Any, settings: dict[str, Any]) -> None:
    states = []
    for kind in (ours, theirs):
        params = start()
        optimizer = kind(params, lr=0.1, **settings)
        walk(optimizer, params, range(3))
        states.append(optimizer.state_dict()["state"])
    assert states[0].keys() == states[1].keys()
    for index, held in states[1].items():
        assert states[0][index].keys() == held.keys()
        for name, value in held.items():
            mine = states[0][index][name]
            assert (mine.dtype, mine.shape, mine.device) == (value.dtype, value.shape, value.device)
            torch.testing.assert_close(mine, value, rtol=1e-12, atol=1e-12)


@every_case
@pytest.mark.parametrize("first", ["torch", "ravine"])
def test_a_state_saved_by_one_twin_continues_in_the_other(
    ours: Any, theirs: Any, settings: dict[str, Any], first: str
) -> None:
    before, after = (theirs, ours) if first == "torch" else (ours, theirs)
    through = start()
    walk(theirs(through, lr=0.1, **settings), through, range(8))
    params = start()
    saving = before(params, lr=0.1, **settings)
    walk(saving, params, range(4))
    loading = after(params, lr=5.0)
    loading.load_state_dict(saving.state_dict())
    assert loading.param_groups[0]["lr"] == 0.1
    walk(loading, params, range(4, 8))
    assert_same(params, through)


def test_a_state_from_an_older_torch_lacks_settings_that_are_filled_in() -> None:
    params, through = start(), start()
    walk(torch.optim.Adam(through, lr=0.1), through, range(4))
    saving = torch.optim.Adam(params, lr=0.1)
    walk(saving, params, range(2))
    saved = saving.state_dict()
    for name in ("maximize", "decoupled_weight_decay", "amsgrad", "differentiable"):
        del saved["param_groups"][0][name]
    for held in saved["state"].values():
        held["step"] = int(held["step"])
    loading = optim.Adam(params)
    loading.load_state_dict(saved)
    walk(loading, params, range(2, 4))
    assert_same(params, through)


def test_AdamW_decouples_whatever_state_it_loads() -> None:  # noqa: N802 - a name
    params = start()
    loading = optim.AdamW(params)
    loading.load_state_dict(optim.Adam(start(), weight_decay=0.1).state_dict())
    assert loading.param_groups[0]["decoupled_weight_decay"] is True


@every_case
@pytest.mark.parametrize("option", ["foreach", "fused", "capturable"])
def test_kernel_options_change_no_bit(ours: Any, theirs: Any, settings: dict[str, Any], option: str) -> None:
    if option not in inspect.signature(theirs.__init__).parameters:
        with pytest.raises(SettingError, match=f"has no option '{option}'"):
            ours(start(), **{option: True})
        return
    plain, chosen = start(), start()
    walk(ours(plain, lr=0.1, **settings), plain, range(3))
    walk(ours(chosen, lr=0.1, **settings, **{option: True}), chosen, range(3))
    assert all(torch.equal(a, b) for a, b in zip(plain, chosen, strict=True))


# One rounding of the coarser kind per step: 2^-8 of a value near 1 in bfloat16, 2^-23 in float32.
@every_case
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05), (torch.complex128, 1e-12)], ids=str
)
def test_other_dtypes_follow_torch(
    ours: Any, theirs: Any, settings: dict[str, Any], dtype: torch.dtype, tolerance: float
) -> None:
    mine, torchs = start(dtype), start(dtype)
    walk(ours(mine, lr=0.1, **settings), mine, range(5))
    walk(theirs(torchs, lr=0.1, **settings), torchs, range(5))
    assert_same(mine, torchs, tolerance)


def test_momentum_switched_off_and_on_again_follows_torch() -> None:
    ends = []
    for kind in (optim.SGD, torch.optim.SGD):
        params = start()
        optimizer = kind(params, lr=0.1)
        for first, momentum in enumerate([0.0, 0.9, 0.0, 0.5]):
            optimizer.param_groups[0]["momentum"] = momentum
            walk(optimizer, params, range(2 * first, 2 * first + 2))
        ends.append(params)
    assert_same(*ends)


def test_a_network_trains() -> None:
    with seeded(0, "init"):
        model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1)).float()
    inputs = draw(64, 4, seed=3, dtype=torch.float32)
    targets = inputs.prod(dim=1, keepdim=True)
    optimizer = optim.AdamW(model.parameters(), lr=0.02)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
