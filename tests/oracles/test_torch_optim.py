"""The rules against torch.optim: bare, through the torch face, and with settings per trial.

Letters in shapes: K trials, P coordinates. Tolerance 1e-12 relative: the same operations in float64, in an
order that differs by a few roundings, over 200 steps of a stable descent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from ravine import optim, rules
from ravine.rules import Rule

K, P, STEPS = 4, 6, 200

Settings = dict[str, Any]

NAMES = {
    name.lower(): name
    for name in ("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "NAdam", "RAdam", "Adamax")
}
TORCH = {key: getattr(torch.optim, name) for key, name in NAMES.items()}
OURS = {key: getattr(optim, name) for key, name in NAMES.items()}

# How each case draws its settings; lr is drawn beside them.
CASES: dict[str, tuple[str, Callable[[random.Random], Settings]]] = {
    "sgd": ("sgd", lambda _: {}),
    "sgd decay": ("sgd", lambda r: {"weight_decay": r.uniform(0.01, 0.3)}),
    "momentum": ("sgd", lambda r: {"momentum": r.uniform(0.3, 0.95)}),
    "momentum decay": ("sgd", lambda r: {"momentum": r.uniform(0.3, 0.95), "weight_decay": r.uniform(0.01, 0.3)}),
    "dampening": ("sgd", lambda r: {"momentum": r.uniform(0.3, 0.95), "dampening": r.uniform(0.1, 0.9)}),
    "nesterov": (
        "sgd",
        lambda r: {"momentum": r.uniform(0.3, 0.95), "weight_decay": r.uniform(0.01, 0.3), "nesterov": True},
    ),
    "adam": ("adam", lambda r: adam_settings(r)),
    "adam decay": ("adam", lambda r: {**adam_settings(r), "weight_decay": r.uniform(0.01, 0.3)}),
    "adam amsgrad": ("adam", lambda r: {**adam_settings(r), "amsgrad": True}),
    "adamw": ("adamw", lambda r: {**adam_settings(r), "weight_decay": r.uniform(0.01, 0.3)}),
    "adamw amsgrad": ("adamw", lambda r: {**adam_settings(r), "weight_decay": r.uniform(0.01, 0.3), "amsgrad": True}),
    "adagrad": ("adagrad", lambda r: {"eps": 10 ** r.uniform(-10, -3), "initial_accumulator_value": r.uniform(0, 1)}),
    "adagrad decay": (
        "adagrad",
        lambda r: {"lr_decay": r.uniform(0.01, 0.3), "weight_decay": r.uniform(0.01, 0.3)},
    ),
    "rmsprop": ("rmsprop", lambda r: rmsprop_settings(r)),
    "rmsprop decay": ("rmsprop", lambda r: {**rmsprop_settings(r), "weight_decay": r.uniform(0.01, 0.3)}),
    "rmsprop momentum": ("rmsprop", lambda r: {**rmsprop_settings(r), "momentum": r.uniform(0.3, 0.9)}),
    "rmsprop centered": ("rmsprop", lambda r: {**rmsprop_settings(r), "centered": True}),
    "rmsprop both": ("rmsprop", lambda r: {**rmsprop_settings(r), "centered": True, "momentum": r.uniform(0.3, 0.9)}),
    "adadelta": ("adadelta", lambda r: {"rho": r.uniform(0.5, 0.99), "eps": 10 ** r.uniform(-8, -3)}),
    "adadelta decay": ("adadelta", lambda r: {"rho": r.uniform(0.5, 0.99), "weight_decay": r.uniform(0.01, 0.3)}),
    "nadam": ("nadam", lambda r: {**adam_settings(r), "momentum_decay": 10 ** r.uniform(-4, -1)}),
    "nadam decay": ("nadam", lambda r: {**adam_settings(r), "weight_decay": r.uniform(0.01, 0.3)}),
    "nadam decoupled": (
        "nadam",
        lambda r: {**adam_settings(r), "weight_decay": r.uniform(0.01, 0.3), "decoupled_weight_decay": True},
    ),
    "radam": ("radam", lambda r: adam_settings(r)),
    "radam decay": ("radam", lambda r: {**adam_settings(r), "weight_decay": r.uniform(0.01, 0.3)}),
    "radam decoupled": (
        "radam",
        lambda r: {**adam_settings(r), "weight_decay": r.uniform(0.01, 0.3), "decoupled_weight_decay": True},
    ),
    "radam never rectified": ("radam", lambda r: {"betas": (0.9, r.uniform(0.1, 0.6))}),
    "adamax": ("adamax", lambda r: adam_settings(r)),
    "adamax decay": ("adamax", lambda r: {**adam_settings(r), "weight_decay": r.uniform(0.01, 0.3)}),
}
every_case = pytest.mark.parametrize("case", CASES)
seeds = pytest.mark.parametrize("seed", range(2))


def adam_settings(rng: random.Random) -> Settings:
    return {"betas": (rng.uniform(0.5, 0.95), rng.uniform(0.9, 0.9999)), "eps": 10 ** rng.uniform(-10, -3)}


def rmsprop_settings(rng: random.Random) -> Settings:
    return {"alpha": rng.uniform(0.8, 0.99), "eps": 10 ** rng.uniform(-8, -3)}


def drawn(case: str, seed: int) -> tuple[str, float, Settings]:
    """The rule's name, a rate and the settings of one case."""
    rng = random.Random(f"{case}/{seed}")  # noqa: S311 - a draw for a test
    name, draw = CASES[case]
    return name, 10 ** rng.uniform(-3, -1), draw(rng)


def bare(name: str, settings: Settings) -> Rule:
    """The rule that torch's spelling of the settings names."""
    fields = {key: value for key, value in settings.items() if key != "betas"}
    if "betas" in settings:
        fields |= dict(zip(("beta1", "beta2"), settings["betas"], strict=True))
    return rules.RULES[name](**fields)


def landscape(seed: int) -> tuple[Tensor, Callable[[Tensor, int], Tensor]]:
    """A start, [P], and the gradient at a place and a step: a quadratic's, with noise that depends on the step."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(P, generator=generator, dtype=torch.float64)
    curvature = 0.2 + torch.rand(P, generator=generator, dtype=torch.float64)
    noise = 0.1 * torch.randn(STEPS, P, generator=generator, dtype=torch.float64)
    return start, lambda place, step: curvature * place + noise[step]


def path(optimizer_class: Any, seed: int, *, sign: float = 1.0, **settings: Any) -> Iterator[Tensor]:
    """Where a torch optimizer stands after each step, [P]."""
    start, gradient = landscape(seed)
    param = torch.nn.Parameter(start.clone())
    optimizer = optimizer_class([param], **settings)
    for step in range(STEPS):
        param.grad = sign * gradient(param.detach(), step)
        optimizer.step()
        yield param.detach().clone()


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.fixture(autouse=True)
def doubles() -> Iterator[None]:
    """Torch keeps a few numbers of its own (NAdam's product of momenta) in the default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@every_case
@seeds
def test_the_bare_rule_walks_torchs_path(case: str, seed: int) -> None:
    name, lr, settings = drawn(case, seed)
    rule = bare(name, settings)
    param, gradient = landscape(seed)
    state = rule.init(param)
    for step, theirs in enumerate(path(TORCH[name], seed, lr=lr, **settings)):
        param, state = rule.update(param, gradient(param, step), state, lr=lr, step=step + 1)
        assert_same(param, theirs)


@every_case
@seeds
def test_the_torch_face_walks_torchs_path(case: str, seed: int) -> None:
    name, lr, settings = drawn(case, seed)
    walks = (path(kind[name], seed, lr=lr, **settings) for kind in (OURS, TORCH))
    for ours, theirs in zip(*walks, strict=True):
        assert_same(ours, theirs)


@every_case
def test_maximize_climbs_as_torch_climbs(case: str) -> None:
    name, lr, settings = drawn(case, 0)
    walks = (path(kind[name], 0, sign=-1.0, lr=lr, maximize=True, **settings) for kind in (OURS, TORCH))
    for ours, theirs in zip(*walks, strict=True):
        assert_same(ours, theirs)


@every_case
def test_a_rule_under_RuleOptimizer_walks_torchs_path(case: str) -> None:  # noqa: N802 - a name
    name, lr, settings = drawn(case, 1)
    ours = path(lambda params, lr: optim.RuleOptimizer(params, bare(name, settings), lr), 1, lr=lr)
    for here, theirs in zip(ours, path(TORCH[name], 1, lr=lr, **settings), strict=True):
        assert_same(here, theirs)


@every_case
def test_one_broadcast_call_walks_the_paths_of_as_many_torch_runs(case: str) -> None:
    name = CASES[case][0]
    trials = [drawn(case, trial) for trial in range(K)]
    rates = torch.tensor([[lr] for _, lr, _ in trials], dtype=torch.float64)
    rule = stack([bare(name, settings) for _, _, settings in trials])
    starts, gradients = zip(*(landscape(trial) for trial in range(K)), strict=True)
    param = torch.stack(starts)
    state = rule.init(param)
    runs = [path(TORCH[name], trial, lr=lr, **settings) for trial, (_, lr, settings) in enumerate(trials)]
    for step, theirs in enumerate(zip(*runs, strict=True)):
        grad = torch.stack([gradients[trial](param[trial], step) for trial in range(K)])
        param, state = rule.update(param, grad, state, lr=rates, step=step + 1)
        assert_same(param, torch.stack(theirs))


def stack(alone: list[Rule]) -> Rule:
    """One rule whose numbers are [K, 1] where the rules given differ in them."""
    stacked = {}
    for name in vars(alone[0]):
        values = [getattr(rule, name) for rule in alone]
        differ = len(set(values)) > 1
        stacked[name] = torch.tensor(values, dtype=torch.float64).unsqueeze(1) if differ else values[0]
    return type(alone[0])(**stacked)
