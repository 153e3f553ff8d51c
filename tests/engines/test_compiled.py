"""Every elementwise rule, compiled: held to `apply` itself, on any cut of the numbers into tensors and threads."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from ravine.engines import compiled as module
from ravine.engines import compiler
from ravine.engines.arithmetic import SAID, arithmetic
from ravine.engines.compiled import PARALLEL, compiled
from ravine.engines.threads import threads
from ravine.rules import RULES, SGD, Adam, Rule
from ravine.types import Hyper

STRUCTURES = [
    *(make() for make in RULES.values() if make.elementwise),
    SGD(momentum=0.9, dampening=0.2),
    SGD(momentum=0.9, nesterov=True),
    RULES["adam"](amsgrad=True),
    RULES["rmsprop"](momentum=0.9, centered=True),
    RULES["radam"](decoupled_weight_decay=True),
]
every_rule = pytest.mark.parametrize("rule", STRUCTURES, ids=repr)


def draw(*shape: int, seed: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def with_decay(rule: Rule) -> Rule:
    return replace(rule, weight_decay=0.1) if "weight_decay" in {f.name for f in fields(rule)} else rule


# Float32: a step's few roundings, met 20 times over by values near 1; a fused multiply-add rounds once for twice.
@every_rule
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("sizes", [[1], [7, 1, 40, 3], [PARALLEL + 3, 5, PARALLEL]], ids=str)
def test_it_moves_every_number_as_the_rule_does(
    rule: Rule, dtype: torch.dtype, tolerance: float, sizes: list[int]
) -> None:
    rule = with_decay(rule)
    code = compiled(rule, dtype)
    assert code is not None, "this rule has no compiled form: say its operation in arithmetic.SAID"
    start = draw(sum(sizes), seed=0, dtype=dtype)
    param, state = start.clone(), rule.init(start)
    places = [t.clone() for t in start.split(sizes)]
    held = [[t.clone() for t in value.split(sizes)] for value in state if value is not None]
    for step in range(1, 21):
        grad = draw(sum(sizes), seed=step, dtype=dtype)
        param, state = rule.update(param, -grad, state, lr=0.01, step=step)
        code(places, grad.split(sizes), held, [-1.0, *rule.coefficients(0.01, step)])
    torch.testing.assert_close(torch.cat(places), param, rtol=tolerance, atol=tolerance)
    for tensors, wanted in zip(held, (value for value in state if value is not None), strict=True):
        torch.testing.assert_close(torch.cat(tensors), wanted, rtol=tolerance, atol=tolerance)


@every_rule
def test_nan_and_infinity_end_where_the_rule_puts_them(rule: Rule) -> None:
    code = compiled(rule, torch.float64)
    grad = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, 1.0], dtype=torch.float64)
    param, state = torch.ones(5, dtype=torch.float64), rule.init(torch.ones(5, dtype=torch.float64))
    place, held = param.clone(), [[value.clone()] for value in state if value is not None]
    for step in (1, 2):
        param, state = rule.update(param, grad, state, lr=0.1, step=step)
        code([place], [grad], held, [1.0, *rule.coefficients(0.1, step)])
    torch.testing.assert_close(place, param, equal_nan=True, rtol=1e-12, atol=1e-12)


def test_the_number_of_threads_changes_no_bit() -> None:
    size, rule = 3 * PARALLEL + 5, Adam()
    ends = []
    for count in (1, 2):
        place, held = draw(size, seed=1, dtype=torch.float32), [[torch.zeros(size)], [torch.zeros(size)]]
        with threads(count):
            for step in (1, 2):
                grad = draw(size, seed=10 + step, dtype=torch.float32)
                compiled(rule, torch.float32)([place], [grad], held, [1.0, *rule.coefficients(0.1, step)])
        ends.append(place)
    assert torch.equal(*ends)


class Nothing(NamedTuple):
    """No memory."""


class Rate(NamedTuple):
    rate: Hyper


@dataclass(frozen=True)
class Own(Rule):
    """A user's rule that does `how` with the gradient."""

    how: Any = None

    def init(self, param: Tensor) -> Nothing:  # noqa: ARG002 - the contract of a rule
        return Nothing()

    def coefficients(self, lr: Hyper, step: int) -> Rate:  # noqa: ARG002
        return Rate(lr)

    def apply(self, param: Tensor, grad: Tensor, state: Any, by: Rate) -> tuple[Tensor, Any]:
        return param - by.rate * self.how(grad), state


OPERATIONS: dict[str, Any] = {
    "add": lambda g: g + 0.5,
    "sub": lambda g: 0.5 - g,
    "mul": lambda g: g * -3,
    "truediv": lambda g: 2 / g,
    "neg": lambda g: -g,
    "square": lambda g: g.square(),
    "sqrt": lambda g: torch.sqrt(g),
    "abs": lambda g: abs(g) + g.abs() + torch.abs(g),
    "sign": lambda g: g.sign(),
    "isnan": lambda g: torch.where(g.isnan(), 7 * (g - g), g) + torch.where(torch.isnan(g), g, -g),
    "gt": lambda g: torch.where(g > 0.5, g, -g),
    "lt": lambda g: torch.where(g < 0.5, g, -g),
    "where": lambda g: torch.where(g > 0, g, g * 2),
    "maximum": lambda g: torch.maximum(g, -g * g),
    "minimum": lambda g: torch.minimum(g, -g * g),
    "clamp": lambda g: torch.clamp(g, min=0.25),
    "lerp": lambda g: torch.lerp(g, g * g, 0.25),
    "addcdiv": lambda g: torch.addcdiv(g, g, 1 + g * g, value=-2) + torch.addcdiv(g, g, 1 + g * g),
}


def test_every_operation_is_examined() -> None:
    assert OPERATIONS.keys() == SAID.keys()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_of_a_users_rule_is_said_rightly(name: str) -> None:
    rule = Own(OPERATIONS[name])
    values = [1.5, -0.75, 0.0, -0.0, float("inf"), -float("inf"), float("nan"), 0.3, -2.0, 4.0]
    grad, place = torch.tensor(values, dtype=torch.float64), torch.zeros(len(values), dtype=torch.float64)
    wanted, _ = rule.update(place, grad, Nothing(), lr=-1.0, step=1)
    code = compiled(rule, torch.float64)
    assert code is not None
    code([place], [grad], [], [1.0, -1.0])
    torch.testing.assert_close(place, wanted, equal_nan=True, rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    "how",
    [torch.erf, lambda grad: grad.norm(), lambda grad: grad if grad.sum() > 0 else -grad, lambda grad: grad[:1]],
    ids=["an unknown operation", "a norm", "a branch on a value", "an index"],
)
def test_a_rule_that_does_more_runs_as_it_is(how: Any) -> None:
    with pytest.raises(NotImplementedError):
        arithmetic(Own(how))
    assert compiled(Own(how), torch.float32) is None


def test_half_precision_and_rules_that_look_across_have_no_compiled_form() -> None:
    assert compiled(Adam(), torch.bfloat16) is None

    @dataclass(frozen=True)
    class Across(Own):
        elementwise = False

    assert compiled(Across(lambda grad: grad), torch.float32) is None


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda code: pickle.loads(pickle.dumps(code))], ids=["copy", "pickle"])  # noqa: S301 - our own bytes
def test_it_can_be_copied_and_pickled(twin: Any) -> None:
    code = twin(compiled(SGD(), torch.float32))
    place = torch.ones(3)
    code([place], [torch.ones(3)], [], [1.0, *SGD().coefficients(0.25, 1)])
    assert place.tolist() == [0.75] * 3


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty cache of compiled rules, and no memory of an earlier compiler."""
    known = [compiler.load, compiler._folder, module._compiled, module._say_once]
    monkeypatch.setenv("RAVINE_CACHE", str(tmp_path / "cache"))
    for each in known:
        each.cache_clear()
    yield tmp_path / "cache" / "rules"
    for each in known:
        each.cache_clear()


def test_a_second_process_does_not_compile_again(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled(Adam(), torch.float32) is not None
    kept = list(fresh.iterdir())
    assert [each.suffix for each in kept] == [".so"], "something was left beside the object"
    compiler.load.cache_clear()
    module._compiled.cache_clear()
    monkeypatch.setattr(compiler, "_build", None)
    assert compiled(Adam(), torch.float32) is not None
    assert list(fresh.iterdir()) == kept


def test_a_damaged_object_is_made_again(fresh: Path) -> None:
    compiled(Adam(), torch.float64)
    (kept,) = fresh.iterdir()
    kept.unlink()  # a library in use must not be cut short under its reader
    kept.write_bytes(b"\x7fELF cut short")
    compiler.load.cache_clear()
    module._compiled.cache_clear()
    code = compiled(Adam(), torch.float64)
    place = torch.ones(3, dtype=torch.float64)
    zeros = [[torch.zeros(3, dtype=torch.float64)] for _ in range(2)]
    code([place], [torch.ones(3, dtype=torch.float64)], zeros, [1.0, *Adam().coefficients(0.25, 1)])
    assert place.tolist() == pytest.approx([0.75] * 3)


@pytest.mark.parametrize(
    ("named", "says"), [("no-such-compiler", "no C compiler was found"), ("false", "could not compile a step")]
)
def test_without_a_compiler_the_rule_runs_as_it_is_and_that_is_said_once(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, named: str, says: str
) -> None:
    monkeypatch.setenv("CC", named)
    with pytest.warns(RuntimeWarning, match=f"{says}.*install gcc, or set CC"):
        assert compiled(Adam(), torch.float32) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(SGD(), torch.float32) is None
    assert not fresh.exists() or not list(fresh.iterdir())


def test_a_cache_that_cannot_be_written_is_done_without(fresh: Path) -> None:
    fresh.parent.write_text("a file where the folder should be")
    assert compiled(Adam(), torch.float32) is not None


def test_an_optimizer_steps_in_a_process_without_compiler_and_home(tmp_path: Path) -> None:
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import torch; from ravine import optim\n"
        "p = torch.nn.Parameter(torch.ones(9000)); p.grad = torch.ones(9000)\n"
        "o = optim.RMSprop([p], lr=0.5); o.step(); print(p[0].item())"
    )
    env = {"CC": "no-such-compiler", "HOME": str(tmp_path / "none"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(-4.0)
