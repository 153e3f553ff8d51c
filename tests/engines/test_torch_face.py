"""The torch face as a torch optimizer: groups, closures, saved states, schedulers, dtypes."""

from __future__ import annotations

import copy
import io
import pickle
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from ravine import optim, rules
from ravine.errors import SettingError
from ravine.rules import RULES, Rule

FACES = {
    "sgd": lambda params, **more: optim.SGD(params, lr=0.1, **more),
    "momentum": lambda params, **more: optim.SGD(params, lr=0.1, momentum=0.9, **more),
    "adam": lambda params, **more: optim.Adam(params, lr=0.1, **more),
    "amsgrad": lambda params, **more: optim.Adam(params, lr=0.1, amsgrad=True, **more),
    "adamw": lambda params, **more: optim.AdamW(params, lr=0.1, **more),
    **{
        name.lower(): lambda params, name=name, **more: getattr(optim, name)(params, lr=0.1, **more)
        for name in [
            *("Adagrad", "RMSprop", "NAdam", "RAdam", "Adamax", "Lion", "LAMB", "Muon", "Shampoo", "SOAP"),
            *("ScheduleFreeSGD", "ScheduleFreeAdamW"),
        ]
    },
    "adadelta": lambda params, **more: optim.Adadelta(params, lr=0.1, eps=1.0, **more),
    "a rule": lambda params, **more: optim.RuleOptimizer(params, rules.Adam(), lr=0.1, **more),
}
every_face = pytest.mark.parametrize("face", FACES.values(), ids=FACES.keys())


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def parameter(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Parameter:
    return nn.Parameter(draw(*shape, seed=seed, dtype=dtype))


def walk(optimizer: torch.optim.Optimizer, params: list[Tensor], steps: range) -> None:
    """Steps whose gradients depend on the step alone."""
    for step in steps:
        for index, param in enumerate(params):
            param.grad = draw(*param.shape, seed=100 * step + index, dtype=param.dtype)
        optimizer.step()


@every_face
def test_a_parameter_without_gradient_is_skipped_and_keeps_its_own_count(face: Any) -> None:
    late, alone = parameter(3), parameter(3)
    other = parameter(2)
    optimizer = face([late, other])
    for step in range(3):
        other.grad = draw(2, seed=step)
        optimizer.step()
    assert torch.equal(late, alone), "moved without a gradient"
    assert optimizer.state.get(late, {}).get("step", 0) == 0
    walk(optimizer, [late], range(4))
    walk(face([alone]), [alone], range(4))
    assert torch.equal(late, alone), "its first step was not its step 1"


@every_face
def test_a_parameter_steps_in_place_and_its_gradient_is_left_alone(face: Any) -> None:
    param = parameter(4)
    where, grad = param.data_ptr(), draw(4, seed=9)
    param.grad = grad.clone()
    face([param]).step()
    assert param.data_ptr() == where
    assert torch.equal(param.grad, grad)
    assert param.requires_grad
    assert param.is_leaf


def test_each_group_keeps_its_own_settings() -> None:
    fast, slow = parameter(3), parameter(3)
    optimizer = optim.SGD([{"params": [fast], "lr": 0.5}, {"params": slow, "momentum": 0.9}], lr=0.1)
    alone = [parameter(3), parameter(3)]
    singles = [optim.SGD([alone[0]], lr=0.5), optim.SGD([alone[1]], lr=0.1, momentum=0.9)]
    walk(optimizer, [fast, slow], range(5))
    for step in range(5):
        for index, single in enumerate(singles):
            alone[index].grad = draw(3, seed=100 * step + index)
            single.step()
    assert torch.equal(fast, alone[0])
    assert torch.equal(slow, alone[1])


@every_face
def test_a_group_added_later_steps_from_its_own_beginning(face: Any) -> None:
    first, late, alone = parameter(2), parameter(3), parameter(3)
    optimizer = face([first])
    walk(optimizer, [first], range(3))
    first.grad = None
    optimizer.add_param_group({"params": [late], "lr": 0.01})
    walk(optimizer, [late], range(3))
    single = face([alone])
    single.param_groups[0]["lr"] = 0.01
    walk(single, [alone], range(3))
    assert torch.equal(late, alone)


@every_face
def test_a_group_may_be_empty(face: Any) -> None:
    param, alone = parameter(2), parameter(2)
    optimizer = face([{"params": []}, {"params": [param]}])
    walk(optimizer, [param], range(2))
    walk(face([alone]), [alone], range(2))
    assert torch.equal(param, alone)
    assert optimizer.state_dict()["param_groups"][0]["params"] == []


def test_named_parameters_keep_their_names() -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert optimizer.state[model.weight]["step"] == 1


@every_face
def test_a_closure_runs_with_gradients_enabled_and_its_loss_is_returned(face: Any) -> None:
    param = parameter(3)
    optimizer = face([param])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = param.square().sum()
        loss.backward()
        return loss

    before = param.detach().clone()
    with torch.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == pytest.approx(before.square().sum().item())
    optimizer.step(closure)  # the first step of SOAP only looks
    assert param.square().sum() < before.square().sum()
    assert optimizer.step() is None


@every_face
def test_maximize_climbs(face: Any) -> None:
    down, up = parameter(3), parameter(3)
    for param, optimizer, sign in ((down, face([down]), 1.0), (up, face([up], maximize=True), -1.0)):
        for step in range(3):
            param.grad = sign * draw(3, seed=step)
            optimizer.step()
    assert torch.equal(down, up)


@every_face
def test_a_setting_changed_in_its_group_counts_from_the_next_step(face: Any) -> None:
    changed, alone = parameter(3), parameter(3)
    optimizer = face([changed])
    optimizer.param_groups[0]["weight_decay"] = 0.0
    walk(optimizer, [changed], range(2))
    optimizer.param_groups[0]["weight_decay"] = 0.5
    kept = optimizer.state_dict()
    walk(optimizer, [changed], range(2, 4))
    fresh = face([alone])
    fresh.param_groups[0]["weight_decay"] = 0.0
    walk(fresh, [alone], range(2))
    second = face([alone])
    second.load_state_dict(kept)
    walk(second, [alone], range(2, 4))
    assert torch.equal(changed, alone)
    unchanged = parameter(3)
    steady = face([unchanged])
    steady.param_groups[0]["weight_decay"] = 0.0
    walk(steady, [unchanged], range(4))
    assert not torch.equal(changed, unchanged)


def test_a_setting_spoiled_between_steps_is_refused_before_any_parameter_moves() -> None:
    params = [parameter(2), parameter(2)]
    optimizer = optim.SGD([{"params": [param]} for param in params])
    optimizer.param_groups[1]["momentum"] = 7.0
    with pytest.raises(SettingError, match=r"momentum is 7\.0"):
        walk(optimizer, params, range(1))
    assert torch.equal(params[0], parameter(2))


def test_memory_that_a_changed_structure_needs_is_made_on_the_way() -> None:
    param = parameter(3)
    optimizer = optim.Adam([param], lr=0.1)
    walk(optimizer, [param], range(2))
    optimizer.param_groups[0]["amsgrad"] = True
    walk(optimizer, [param], range(2, 3))
    assert torch.equal(optimizer.state[param]["max_exp_avg_sq"], optimizer.state[param]["exp_avg_sq"])


def test_a_state_cleared_by_hand_begins_anew() -> None:
    param = parameter(3)
    optimizer = optim.Adam([param], lr=0.1)
    walk(optimizer, [param], range(3))
    optimizer.state.clear()
    walk(optimizer, [param], range(1))
    assert optimizer.state[param]["step"] == 1


def test_settings_are_not_examined_again_while_they_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    check = rules.Adam.__post_init__
    monkeypatch.setattr(rules.Adam, "__post_init__", lambda rule: (made.append(rule), check(rule)))
    param = parameter(2)
    optimizer = optim.Adam([param])
    walk(optimizer, [param], range(1))
    before = len(made)
    walk(optimizer, [param], range(1, 9))
    assert len(made) == before


@every_face
def test_a_saved_state_does_not_change_with_later_steps(face: Any) -> None:
    param = parameter(3)
    optimizer = face([param])
    walk(optimizer, [param], range(2))
    saved = optimizer.state_dict()
    kept = copy.deepcopy(saved)
    walk(optimizer, [param], range(2, 4))
    optimizer.param_groups[0]["lr"] = 9.0
    assert_equal_states(saved, kept)


@every_face
def test_a_loaded_state_leaves_the_dictionary_it_came_from_alone(face: Any) -> None:
    param = parameter(3)
    optimizer = face([param])
    walk(optimizer, [param], range(2))
    saved = optimizer.state_dict()
    kept = copy.deepcopy(saved)
    twin = face([param])
    twin.load_state_dict(saved)
    walk(twin, [param], range(2, 4))
    assert_equal_states(saved, kept)


def assert_equal_states(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left["param_groups"] == right["param_groups"]
    assert left["state"].keys() == right["state"].keys()
    for index, held in left["state"].items():
        assert held.keys() == right["state"][index].keys()
        assert all(torch.equal(value, right["state"][index][name]) for name, value in held.items())


@every_face
def test_a_run_saved_to_a_file_and_resumed_ends_in_the_same_bits(face: Any) -> None:
    through, stopped = parameter(3), parameter(3)
    walk(face([through]), [through], range(8))
    optimizer = face([stopped])
    walk(optimizer, [stopped], range(4))
    file = io.BytesIO()
    torch.save({"param": stopped.detach(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = nn.Parameter(saved["param"])
    again = face([resumed])
    again.load_state_dict(saved["optimizer"])
    walk(again, [resumed], range(4, 8))
    assert torch.equal(through, resumed)


@every_face
@pytest.mark.parametrize("twin", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["copy", "pickle"])  # noqa: S301 - our own bytes
def test_a_copied_or_pickled_optimizer_goes_on_alone_to_the_same_bits(face: Any, twin: Any) -> None:
    param = parameter(3)
    optimizer = face([param])
    walk(optimizer, [param], range(3))
    other_param, other = twin((param, optimizer))
    held = copy.deepcopy(optimizer.state_dict())
    walk(other, [other_param], range(3, 6))
    assert_equal_states(optimizer.state_dict(), held)
    walk(optimizer, [param], range(3, 6))
    assert torch.equal(param, other_param)


@every_face
def test_lr_may_be_a_one_element_tensor_that_is_changed_in_place(face: Any) -> None:
    plain, tensor = parameter(3), parameter(3)
    walk(face([plain]), [plain], range(3))
    optimizer = face([tensor])
    optimizer.param_groups[0]["lr"] = torch.tensor(7.0, dtype=torch.float64)
    optimizer.param_groups[0]["lr"].fill_(0.1)
    walk(optimizer, [tensor], range(3))
    assert torch.equal(plain, tensor)


def test_a_saved_tensor_lr_does_not_change_with_the_live_one() -> None:
    optimizer = optim.Adam([parameter(1)], lr=torch.tensor(0.1))
    saved = optimizer.state_dict()
    optimizer.param_groups[0]["lr"].fill_(5.0)
    assert saved["param_groups"][0]["lr"].item() == pytest.approx(0.1)


SCHEDULERS = {
    "lambda": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch),
    "cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=8),
    "one cycle": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10),
}


@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS.keys())
@pytest.mark.parametrize("pair", [(optim.SGD, torch.optim.SGD), (optim.AdamW, torch.optim.AdamW)], ids=["sgd", "adamw"])
def test_torchs_schedulers_drive_it_as_they_drive_torch(pair: tuple[Any, Any], make: Any) -> None:
    ends = []
    for kind in pair:
        param = parameter(3)
        optimizer = kind([param], lr=0.1, **({"momentum": 0.9} if "SGD" in kind.__name__ else {}))
        scheduler = make(optimizer)
        for step in range(8):
            walk(optimizer, [param], range(step, step + 1))
            scheduler.step()
        ends.append(param.detach())
    # The last steps of a cosine are small; 1e-12 as in the oracles, for rounding in float64.
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-12, atol=1e-12)


@every_face
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64, torch.complex128], ids=str)
def test_parameter_and_memory_keep_their_dtype(face: Any, dtype: torch.dtype) -> None:
    param = parameter(4, dtype=dtype)
    before = param.detach().clone()
    optimizer = face([param])
    walk(optimizer, [param], range(3))
    assert param.dtype == dtype
    assert not torch.equal(param, before)
    assert torch.view_as_real(param).isfinite().all() if dtype.is_complex else param.isfinite().all()
    memory = [value for value in optimizer.state[param].values() if value.shape == param.shape]
    assert all(value.dtype == dtype for value in memory)


@pytest.mark.parametrize("rule", [make() for make in RULES.values()], ids=repr)
def test_a_complex_parameter_steps_as_its_real_and_imaginary_parts(rule: Rule) -> None:
    whole = parameter(3, dtype=torch.complex128)
    parts = nn.Parameter(torch.view_as_real(whole.detach()).clone())
    optimizers = [optim.RuleOptimizer([each], rule, lr=0.1) for each in (whole, parts)]
    for step in range(5):
        whole.grad = draw(3, seed=step, dtype=torch.complex128)
        parts.grad = torch.view_as_real(whole.grad).clone()
        for optimizer in optimizers:
            optimizer.step()
    assert torch.equal(torch.view_as_real(whole.detach()), parts.detach())


class Kept(NamedTuple):
    previous: Tensor


@dataclass(frozen=True)
class LastGradient(Rule):
    """A user's rule that hands back the gradient itself as its state, and looks at all coordinates at once."""

    elementwise = False
    pull: float = 1.0

    def init(self, param: Tensor) -> Kept:
        return Kept(torch.zeros_like(param))

    def coefficients(self, lr: Any, step: int) -> tuple[Any, ...]:  # noqa: ARG002
        return Step(lr)

    def apply(self, param: Tensor, grad: Tensor, state: Kept, by: Any) -> tuple[Tensor, Kept]:
        return param - by.rate * self.pull * (grad + state.previous) / grad.norm(), Kept(grad)


class Step(NamedTuple):
    rate: float


def test_a_users_own_rule_runs_and_its_memory_does_not_alias_the_gradient() -> None:
    param = parameter(2)
    optimizer = optim.RuleOptimizer([param], LastGradient(), lr=0.1)
    start = param.detach().clone()
    param.grad = torch.tensor([3.0, 4.0], dtype=torch.float64)
    optimizer.step()
    assert torch.allclose(param, start - torch.tensor([0.06, 0.08], dtype=torch.float64))
    optimizer.zero_grad(set_to_none=False)
    assert optimizer.state[param]["previous"].tolist() == [3.0, 4.0]


def test_a_rule_passed_as_a_class_is_refused() -> None:
    with pytest.raises(SettingError, match=r"write rules\.Adam\(\)"):
        optim.RuleOptimizer([parameter(1)], rules.Adam)


def test_a_rule_whose_field_hides_a_groups_own_setting_is_refused() -> None:
    @dataclass(frozen=True)
    class Hiding(LastGradient):
        lr: float = 0.1

    with pytest.raises(SettingError, match="Hiding has a field 'lr'"):
        optim.RuleOptimizer([parameter(1)], Hiding())


def steps_of(optimizer: torch.optim.Optimizer, params: list[nn.Parameter]) -> list[int]:
    return [int(optimizer.state[param]["step"]) for param in params]


def test_parameters_that_share_their_count_part_when_one_of_them_rests() -> None:
    params = [parameter(2, seed=i) for i in range(3)]
    optimizer = optim.Adam(params, lr=0.1)
    walk(optimizer, params, range(2))
    params[1].grad = None
    walk(optimizer, [params[0], params[2]], range(2, 5))
    assert steps_of(optimizer, params) == [5, 2, 5]
    walk(optimizer, params, range(5, 6))
    assert steps_of(optimizer, params) == [6, 3, 6]


def test_a_saved_state_counts_each_parameter_by_itself() -> None:
    params = [parameter(2, seed=i) for i in range(3)]
    optimizer = optim.Adam(params, lr=0.1)
    walk(optimizer, params, range(2))
    counts = [held["step"] for held in optimizer.state_dict()["state"].values()]
    assert len({count.data_ptr() for count in counts}) == 3
    twin = torch.optim.Adam(params, lr=0.1)
    twin.load_state_dict(optimizer.state_dict())
    walk(twin, params, range(2, 3))
    assert steps_of(twin, params) == [3, 3, 3]


def test_memory_that_somebody_replaces_counts_from_the_next_step() -> None:
    param, other = parameter(2), parameter(2)
    optimizer, fresh = optim.Adam([param], lr=0.1), optim.Adam([other], lr=0.1)
    walk(optimizer, [param], range(3))
    walk(fresh, [other], range(3))
    for each, held in ((param, optimizer.state[param]), (other, fresh.state[other])):
        held["exp_avg"] = torch.full_like(each, 7.0)
    walk(optimizer, [param], range(3, 4))
    wanted = torch.lerp(torch.full_like(param, 7.0), param.grad, 0.1)
    torch.testing.assert_close(optimizer.state[param]["exp_avg"], wanted, rtol=1e-14, atol=0)
    walk(fresh, [other], range(3, 4))
    assert torch.equal(param, other)


def test_a_parameter_whose_storage_is_replaced_steps_in_the_new_one() -> None:
    param = parameter(5000)
    optimizer = optim.Adam([param], lr=0.1)
    walk(optimizer, [param], range(2))
    left_behind = param.data
    param.data = torch.zeros(5000, dtype=torch.float64)
    before = left_behind.clone()
    walk(optimizer, [param], range(2, 3))
    assert torch.equal(left_behind, before)
    assert param.detach().ne(0).all()


def test_a_state_of_another_models_shapes_is_refused() -> None:
    small, large = parameter(3), parameter(9000)
    saving, loading = optim.Adam([small]), optim.Adam([large])
    walk(saving, [small], range(1))
    loading.load_state_dict(saving.state_dict())
    large.grad = torch.ones_like(large)
    with pytest.raises(SettingError, match=r"exp_avg of shape \[3\] for a parameter of shape \[9000\]"):
        loading.step()
