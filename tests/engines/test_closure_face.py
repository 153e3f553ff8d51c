"""What the torch faces of second order share: groups, closures, saved states, dtypes, and each refusal in a line."""

from __future__ import annotations

import copy
import gc
import io
import math
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from ravine.engines.second_order import BFGS, LBFGS, Newton
from ravine.errors import SettingError

FACES: dict[str, Any] = {"lbfgs": LBFGS, "bfgs": BFGS, "newton": Newton}
every_face = pytest.mark.parametrize("face", FACES.values(), ids=FACES.keys())


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def parameter(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Parameter:
    return nn.Parameter(draw(*shape, seed=seed, dtype=dtype))


def closure_of(optimizer: Any, loss_of: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The closure each face asks for: Newton's leaves out backward."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of()
        if not isinstance(optimizer, Newton):
            loss.backward()
        return loss

    return closure


def bowl(*params: Tensor) -> Callable[[], Tensor]:
    """A smooth function of all parameters with its minimum, 0, where each is 1."""

    def loss_of() -> Tensor:
        flat = torch.cat([(param - 1).flatten() for param in params])
        scales = torch.linspace(1, 10, len(flat), dtype=flat.dtype)
        return (scales * flat**2).sum() + flat.sum() ** 4

    return loss_of


def walk(optimizer: Any, loss_of: Callable[[], Tensor], steps: int) -> None:
    for _ in range(steps):
        optimizer.step(closure_of(optimizer, loss_of))


@every_face
def test_all_groups_take_one_joint_step_to_the_minimum(face: Any) -> None:
    params = [parameter(2, 3), parameter(4, seed=1), parameter(1, seed=2)]
    groups = [{"params": params[:1]}, {"params": []}, {"params": params[1], "lr": 0.5}, {"params": iter(params[2:])}]
    optimizer = face(groups, max_iter=50)
    before = optimizer.step(closure_of(optimizer, bowl(*params)))
    assert before > 1
    for param in params:
        torch.testing.assert_close(param.detach(), torch.ones_like(param), rtol=1e-5, atol=1e-5)


@every_face
def test_a_groups_rate_scales_its_part_of_the_first_step(face: Any) -> None:
    whole, half = [parameter(3), parameter(2, seed=1)], [parameter(3), parameter(2, seed=1)]
    starts = [param.detach().clone() for param in whole]
    for params, rate in ((whole, 1.0), (half, 0.5)):
        optimizer = face([{"params": params[:1]}, {"params": params[1:], "lr": rate}], max_iter=1, max_eval=2)
        walk(optimizer, lambda params=params: sum((param**2).sum() for param in params) / 2, 1)  # type: ignore[misc]
    torch.testing.assert_close(half[0], whole[0])
    torch.testing.assert_close(half[1] - starts[1], (whole[1] - starts[1]) / 2)
    assert not torch.equal(whole[0], starts[0])


@every_face
def test_a_groups_rate_scales_both_parts_of_a_complex_parameter(face: Any) -> None:
    ends = []
    for rate in (1.0, 0.5):
        real, complex_ = parameter(2), nn.Parameter(torch.zeros(1, dtype=torch.complex128))
        optimizer = face([{"params": [real]}, {"params": [complex_], "lr": rate}], max_iter=1, max_eval=2)
        walk(optimizer, lambda a=real, b=complex_: ((a**2).sum() + (b - 1 - 1j).abs().square().sum()) / 2, 1)  # type: ignore[misc]
        ends.append(complex_.detach())
    assert ends[0].real == ends[0].imag != 0
    torch.testing.assert_close(ends[1], ends[0] / 2)


@every_face
def test_a_group_with_a_rate_of_zero_stays_where_it_is(face: Any) -> None:
    moving, frozen = parameter(3), parameter(2, seed=1)
    before = frozen.detach().clone()
    walk(face([{"params": [moving]}, {"params": [frozen], "lr": 0.0}]), bowl(moving, frozen), 2)
    assert torch.equal(frozen, before)
    optimizer = face([moving], lr=0.0)
    place = moving.detach().clone()
    walk(optimizer, bowl(moving), 2)
    assert torch.equal(moving, place)


@every_face
def test_maximize_climbs_as_the_negated_loss_descends(face: Any) -> None:
    up, down = parameter(3), parameter(3)
    walk(face([up], maximize=True), lambda: -bowl(up)(), 2)
    walk(face([down]), bowl(down), 2)
    assert torch.equal(up, down)


@every_face
def test_the_rate_may_be_a_tensor_and_a_scheduler_may_set_it(face: Any) -> None:
    given, tensor = parameter(3), parameter(3)
    walk(face([given], lr=0.5, max_iter=1), bowl(given), 1)
    walk(face([tensor], lr=torch.tensor(0.5), max_iter=1), bowl(tensor), 1)
    assert torch.equal(given, tensor)
    optimizer = face([parameter(3)], lr=1.0, max_iter=1)
    scheduler = lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    walk(optimizer, bowl(*optimizer.param_groups[0]["params"]), 1)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.5


@every_face
def test_the_loss_at_the_start_is_returned_without_its_graph(face: Any) -> None:
    param = parameter(3)
    start = bowl(param)().item()
    optimizer = face([param])
    loss = optimizer.step(closure_of(optimizer, bowl(param)))
    assert loss.item() == start
    assert not loss.requires_grad


@every_face
def test_a_parameter_without_gradient_stays_where_it_is(face: Any) -> None:
    used, idle, frozen = parameter(3), parameter(2), nn.Parameter(draw(2), requires_grad=False)
    before = idle.detach().clone()
    walk(face([idle, used, frozen], max_iter=40), bowl(used), 1)
    assert torch.equal(idle, before)
    assert torch.equal(frozen, before)
    torch.testing.assert_close(used.detach(), torch.ones(3, dtype=torch.float64), rtol=1e-4, atol=1e-4)


@every_face
def test_a_complex_parameter_steps_as_its_two_real_parts(face: Any) -> None:
    whole = parameter(3, dtype=torch.complex128)
    parts = nn.Parameter(torch.view_as_real(whole.detach()).clone())
    walk(face([whole]), lambda: bowl(torch.view_as_real(whole))(), 2)
    walk(face([parts]), bowl(parts), 2)
    torch.testing.assert_close(torch.view_as_real(whole.detach()), parts.detach(), rtol=1e-12, atol=1e-12)


@every_face
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_parameters_come_as_near_as_their_digits_allow(face: Any, dtype: torch.dtype) -> None:
    param = nn.Parameter(torch.tensor([3.0, -2.0], dtype=dtype))
    optimizer = face([param])
    walk(optimizer, lambda: ((param.float() - 1) ** 2 * torch.tensor([1.0, 5.0])).sum(), 3)
    assert param.dtype == dtype
    torch.testing.assert_close(param.detach().float(), torch.ones(2), rtol=0.02, atol=0.02)


def test_a_sparse_gradient_is_made_dense() -> None:
    for face in (LBFGS, BFGS):
        ends = []
        for sparse in (True, False):
            table = nn.Embedding(5, 2, sparse=sparse, _weight=draw(5, 2))
            optimizer = face(table.parameters())
            walk(optimizer, lambda table=table: (table(torch.tensor([1, 3, 3])) ** 2).sum(), 2)  # type: ignore[misc]
            ends.append(table.weight.detach())
        assert torch.equal(*ends)


@every_face
def test_no_call_beyond_max_eval(face: Any) -> None:
    for most in (1, 2, 5):
        param = parameter(3)
        optimizer = face([param], lr=50.0, max_eval=most)
        closure = closure_of(optimizer, bowl(param))
        calls: list[None] = []
        optimizer.step(lambda closure=closure, calls=calls: (calls.append(None), closure())[1])
        assert len(calls) == most == optimizer.state[param]["func_evals"]


@every_face
def test_a_loss_that_is_not_finite_is_stepped_around(face: Any) -> None:
    param = nn.Parameter(torch.tensor([3.0, 0.5], dtype=torch.float64))
    optimizer = face([param], lr=20.0, max_iter=60)
    walk(optimizer, lambda: (param - torch.log(param)).sum(), 1)
    torch.testing.assert_close(param.detach(), torch.ones(2, dtype=torch.float64), rtol=1e-2, atol=1e-2)


@every_face
def test_a_start_without_a_finite_loss_is_left_alone(face: Any) -> None:
    param = nn.Parameter(torch.tensor([-1.0]))
    optimizer = face([param])
    loss = optimizer.step(closure_of(optimizer, lambda: torch.log(param).sum()))
    assert math.isnan(loss.item())
    assert param.item() == -1


@every_face
def test_at_a_minimum_one_call_is_made_and_nothing_is_remembered(face: Any) -> None:
    param = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = face([param])
    walk(optimizer, bowl(param), 1)
    assert optimizer.state[param] == {"func_evals": 1, "n_iter": 0}


@every_face
def test_a_closure_that_raises_leaves_parameters_and_memory_as_they_were(face: Any) -> None:
    param = parameter(3)
    optimizer = face([param], max_iter=2)
    walk(optimizer, bowl(param), 1)
    before, saved = param.detach().clone(), optimizer.state_dict()["state"]
    calls = 0

    def failing() -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return closure_of(optimizer, bowl(param))()

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(failing)
    assert torch.equal(param, before)
    assert same(optimizer.state_dict()["state"], saved)


def same(a: Any, b: Any) -> bool:
    """Whether two saved states are equal to the bit."""
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


SAVED: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda state: state,
    "pickled": lambda state: pickle.loads(pickle.dumps(state)),  # noqa: S301 - our own bytes
    "by torch.save": lambda state: reloaded(state),
}


def reloaded(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@every_face
@pytest.mark.parametrize("passed", SAVED.values(), ids=SAVED.keys())
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.complex64])
def test_a_saved_state_goes_on_to_the_same_bits(face: Any, passed: Any, dtype: torch.dtype) -> None:
    def loss_of(param: Tensor) -> Callable[[], Tensor]:
        return lambda: bowl(torch.view_as_real(param) if param.is_complex() else param.float())()

    straight = parameter(4, dtype=dtype)
    first = face([straight], max_iter=3)
    walk(first, loss_of(straight), 2)
    resumed = nn.Parameter(straight.detach().clone())
    second = face([resumed])
    second.load_state_dict(passed(first.state_dict()))
    walk(first, loss_of(straight), 2)
    walk(second, loss_of(resumed), 2)
    assert torch.equal(straight, resumed)
    assert same(first.state_dict(), second.state_dict())


def pointers(value: Any) -> set[int]:
    """Where the tensors in a state lie."""
    if isinstance(value, Tensor):
        return {value.data_ptr()}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return {each for part in inner for each in pointers(part)}


@every_face
def test_a_state_dict_is_a_copy_in_both_directions(face: Any) -> None:
    param = parameter(4)
    optimizer = face([param], max_iter=3)
    walk(optimizer, bowl(param), 1)
    saved = optimizer.state_dict()
    assert not pointers(optimizer.state[param]) & pointers(saved)
    kept = copy.deepcopy(saved)
    walk(optimizer, bowl(param), 1)
    assert same(saved, kept)
    optimizer.load_state_dict(saved)
    assert not pointers(optimizer.state[param]) & pointers(saved)
    walk(optimizer, bowl(param), 1)
    assert same(saved, kept)


@every_face
@pytest.mark.parametrize("how", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])  # noqa: S301
def test_a_copy_goes_on_alone(face: Any, how: Any) -> None:
    param = parameter(4)
    optimizer = face([param], max_iter=2)
    walk(optimizer, bowl(param), 1)
    other_param, other = how((param, optimizer))
    before = param.detach().clone()
    walk(other, bowl(other_param), 1)
    assert torch.equal(param, before)
    walk(optimizer, bowl(param), 1)
    assert torch.equal(param, other_param)


@every_face
def test_hooks_are_called_around_a_step(face: Any) -> None:
    param, seen = parameter(2), []
    optimizer = face([param])
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    walk(optimizer, bowl(param), 1)
    assert seen == ["before", "after"]


@every_face
def test_a_group_added_later_joins_and_the_memory_begins_anew(face: Any) -> None:
    first, second = parameter(3), parameter(2, seed=1)
    optimizer = face([first], max_iter=5)
    walk(optimizer, bowl(first), 1)
    optimizer.add_param_group({"params": second, "lr": 0.5})
    assert not optimizer.state
    assert optimizer.param_groups[1]["max_iter"] == 5
    for group in optimizer.param_groups:
        group.update(max_iter=60, max_eval=100)
    walk(optimizer, bowl(first, second), 1)
    torch.testing.assert_close(second.detach(), torch.ones(2, dtype=torch.float64), rtol=1e-4, atol=1e-4)


@every_face
def test_names_of_parameters_are_kept(face: Any) -> None:
    optimizer = face([("weight", parameter(3)), ("bias", parameter(1))])
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


@every_face
def test_zero_grad_and_the_graph_are_left_as_torch_leaves_them(face: Any) -> None:
    param = parameter(3)
    optimizer = face([param])
    graphs: list[Any] = []

    def closure() -> Tensor:
        loss = closure_of(optimizer, bowl(param))()
        graphs.append(weakref.ref(loss))
        return loss

    optimizer.step(closure)
    gc.collect()
    assert [each() for each in graphs] == [None] * len(graphs), "a step kept a graph alive"
    optimizer.zero_grad()
    assert param.grad is None


@every_face
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": -0.1}, "lr is -0.1"),
        ({"lr": math.nan}, "lr is nan"),
        ({"lr": math.inf}, "lr is inf"),
        ({"lr": torch.ones(2)}, r"lr has shape \[2\]"),
        ({"max_iter": -1}, "max_iter is -1"),
        ({"max_iter": 2.5}, "max_iter is 2.5"),
        ({"max_eval": 0}, "max_eval is 0"),
        ({"tolerance_grad": -1.0}, "tolerance_grad is -1"),
        ({"tolerance_change": math.nan}, "tolerance_change is nan"),
        ({"maximise": True}, "no option 'maximise'; did you mean maximize"),
        ({"max_iters": 3}, "no option 'max_iters'; did you mean max_iter"),
        ({"params": []}, "got an empty list of parameters"),
        ({"params": torch.ones(2)}, "got a Tensor to optimize"),
        ({"params": [{"params": [parameter(1)], "max_iterr": 3}]}, "sets 'max_iterr'; it must be spelled 'max_iter'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(face: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message) as refusal:
        face(**{"params": [parameter(2)], **given})
    assert "\n" not in str(refusal.value)
    assert isinstance(refusal.value, ValueError)


@every_face
def test_a_parameter_given_twice_is_refused(face: Any) -> None:
    param = parameter(2)
    with pytest.raises(SettingError, match="a second time"):
        face([param, param])
    with pytest.raises(SettingError, match="a second time"):
        face([{"params": [param]}, {"params": [param]}])


@every_face
def test_groups_without_any_parameter_cannot_step(face: Any) -> None:
    with pytest.raises(SettingError, match="without any parameter"):
        face([{"params": []}]).step(lambda: 0.0)


@every_face
def test_groups_that_differ_in_more_than_their_rate_are_refused(face: Any) -> None:
    groups = [{"params": [parameter(2)], "max_iter": 3}, {"params": [parameter(1)], "max_iter": 4}]
    with pytest.raises(SettingError, match="'max_iter' to 4 and another to 3; all groups take one joint step"):
        face(groups)
    optimizer = face([{"params": [parameter(2)]}, {"params": [parameter(1)]}])
    optimizer.param_groups[1]["maximize"] = True
    with pytest.raises(SettingError, match="'maximize'"):
        optimizer.step(lambda: 0.0)


@every_face
def test_a_step_without_a_closure_says_what_to_write(face: Any) -> None:
    with pytest.raises(SettingError, match=r"got no closure.*write step.closure"):
        face([parameter(2)]).step()


@every_face
def test_a_state_that_is_none_or_not_of_these_parameters_is_refused(face: Any) -> None:
    optimizer = face([parameter(2)])
    with pytest.raises(SettingError, match="'state' and 'param_groups'"):
        optimizer.load_state_dict({"model": 1})
    saved = optimizer.state_dict()
    saved["param_groups"][0]["max_iter"] = -3
    with pytest.raises(SettingError, match="max_iter is -3"):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["max_iter"] == 20
    if face is not Newton:  # which remembers nothing
        other = parameter(5)
        donor = face([other])
        walk(donor, bowl(other), 1)
        optimizer.load_state_dict(donor.state_dict())
        with pytest.raises(SettingError, match="memory of 5 coordinates for parameters of 2"):
            optimizer.step(lambda: 0.0)
