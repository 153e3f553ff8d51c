"""The rules against optax, over 200 steps in float64, with settings drawn at random.

Tolerance 1e-12: the same formulas in another order of operations, over a stable descent; the worst seen on
one machine was 2e-14.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import pytest
import torch
from torch import Tensor

from ravine.rules import Rule
from ravine.rules.adadelta import Adadelta
from ravine.rules.adamax import Adamax
from ravine.rules.lamb import LAMB
from ravine.rules.lion import Lion
from ravine.rules.nadam import NAdam
from ravine.rules.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)

SHAPE, STEPS = (3, 4), 200
CONSTANT = np.ones(STEPS + 1)  # the share of lr at each step; the first is 1
WARMUP = np.minimum(np.arange(STEPS + 1) / 20, 1.0)

Twins = tuple[Rule, optax.GradientTransformation]


def betas(rng: random.Random) -> tuple[float, float]:
    return rng.uniform(0.5, 0.95), rng.uniform(0.9, 0.9999)


def lion(rng: random.Random, lr: float) -> Twins:
    (b1, b2), decay = betas(rng), rng.uniform(0.0, 0.3)
    return Lion(b1, b2, decay), optax.lion(lr, b1, b2, weight_decay=decay)


def lamb(rng: random.Random, lr: float) -> Twins:
    (b1, b2), eps, decay = betas(rng), 10 ** rng.uniform(-8, -3), rng.uniform(0.0, 0.3)
    return LAMB(b1, b2, eps, decay), optax.lamb(lr, b1, b2, eps, weight_decay=decay)


def nadam(rng: random.Random, lr: float) -> Twins:
    """Optax lets mu be beta1 from the first step on; ours tends to it, at once when momentum_decay is large."""
    (b1, b2), eps = betas(rng), 10 ** rng.uniform(-10, -3)
    return NAdam(b1, b2, eps, momentum_decay=1e4), optax.nadam(lr, b1, b2, eps)


def nadamw(rng: random.Random, lr: float) -> Twins:
    (b1, b2), eps, decay = betas(rng), 10 ** rng.uniform(-10, -3), rng.uniform(0.0, 0.3)
    ours = NAdam(b1, b2, eps, decay, momentum_decay=1e4, decoupled_weight_decay=True)
    return ours, optax.nadamw(lr, b1, b2, eps, weight_decay=decay)


def adamax(rng: random.Random, lr: float) -> Twins:
    """Decay is coupled in ours; optax couples it when it is chained in front."""
    (b1, b2), eps, decay = betas(rng), 10 ** rng.uniform(-10, -3), rng.uniform(0.0, 0.3)
    return Adamax(b1, b2, eps, decay), optax.chain(optax.add_decayed_weights(decay), optax.adamax(lr, b1, b2, eps))


def adadelta(rng: random.Random, lr: float) -> Twins:
    rho, eps, decay = rng.uniform(0.5, 0.99), 10 ** rng.uniform(-3, -1), rng.uniform(0.0, 0.3)
    return Adadelta(rho, eps, decay), optax.adadelta(lr, rho, eps, weight_decay=decay)


def schedule_free_sgd(rng: random.Random, lr: float) -> Twins:
    beta, decay, power = rng.uniform(0.3, 0.95), rng.uniform(0.0, 0.3), rng.uniform(0.0, 3.0)
    ours = ScheduleFreeSGD(beta, decay, weight_lr_power=power)
    return ours, optax.contrib.schedule_free_sgd(lr, b1=beta, weight_decay=decay, weight_lr_power=power)


def schedule_free_adamw(rng: random.Random, lr: float) -> Twins:
    (b1, b2), eps, decay = betas(rng), 10 ** rng.uniform(-10, -3), rng.uniform(0.0, 0.3)
    ours = ScheduleFreeAdamW(b1, b2, eps, decay)
    return ours, optax.contrib.schedule_free_adamw(lr, b1=b1, b2=b2, eps=eps, weight_decay=decay)


def schedule_free_warmup(rng: random.Random, lr: float) -> Twins:
    """Optax counts from 1 where it weighs the average and from 0 where it steps: here both are given one rate."""
    beta, power = rng.uniform(0.3, 0.95), rng.uniform(0.5, 3.0)
    rates = lr * jax.numpy.asarray(WARMUP)
    theirs = optax.contrib.schedule_free(
        optax.sgd(lambda count: rates[count + 1]), lambda count: rates[count], beta, power
    )
    return ScheduleFreeSGD(beta, weight_lr_power=power), theirs


CASES: list[Callable[[random.Random, float], Twins]] = [
    lion,
    lamb,
    nadam,
    nadamw,
    adamax,
    adadelta,
    schedule_free_sgd,
    schedule_free_adamw,
    schedule_free_warmup,
]


def landscape(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A start and curvatures, like the parameter, and noise for each step: the gradient's parts."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=SHAPE), rng.uniform(0.2, 1.2, SHAPE), 0.1 * rng.normal(size=(STEPS, *SHAPE))


def path_of_optax(theirs: optax.GradientTransformation, seed: int) -> tuple[np.ndarray, Any]:
    """Where optax stands after each step, [STEPS, *SHAPE], and its last state."""
    start, curvature, noise = landscape(seed)

    def step(carry: tuple, drawn: jax.Array) -> tuple:
        param, state = carry
        updates, state = theirs.update(curvature * param + drawn, state, param)
        param = optax.apply_updates(param, updates)
        return (param, state), param

    (_, state), path = jax.lax.scan(step, (jax.numpy.asarray(start), theirs.init(jax.numpy.asarray(start))), noise)
    return np.asarray(path), state


def path_of_ours(rule: Rule, seed: int, rates: np.ndarray) -> tuple[Tensor, Any]:
    """Where the bare rule stands after each step, [STEPS, *SHAPE], and its last state. rates: [STEPS + 1]."""
    param, curvature, noise = (torch.from_numpy(array) for array in landscape(seed))
    state, path = rule.init(param), []
    for step in range(1, STEPS + 1):
        param, state = rule.update(param, curvature * param + noise[step - 1], state, lr=float(rates[step]), step=step)
        path.append(param)
    return torch.stack(path), state


def assert_same(ours: Tensor, theirs: np.ndarray) -> None:
    torch.testing.assert_close(ours, torch.from_numpy(np.array(theirs)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_bare_rule_walks_optaxs_path(case: Callable[[random.Random, float], Twins], seed: int) -> None:
    rng = random.Random(f"{case.__name__}/{seed}")  # noqa: S311 - a draw for a test
    lr = 10 ** rng.uniform(-3, -1)
    rule, theirs = case(rng, lr)
    path, state = path_of_ours(rule, seed, lr * (WARMUP if case is schedule_free_warmup else CONSTANT))
    optax_path, optax_state = path_of_optax(theirs, seed)
    assert_same(path, optax_path)
    if hasattr(optax_state, "z"):
        settled = optax.contrib.schedule_free_eval_params(optax_state, optax_path[-1])
        assert_same(rule.settled(path[-1], state), settled)
