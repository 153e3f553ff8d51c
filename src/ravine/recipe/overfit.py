"""Step 2: can the model learn a few mini-batches by heart?

Five mini-batches, no regularization, several rates at once. A model that cannot reach 100 % on so little
will not learn the whole set; which of the lecture's causes it looks like is read off the losses.

Letters: K rates.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import torch

from ravine.data import Data, MemorySplit, Split
from ravine.randomness import permutation
from ravine.recipe.session import Session
from ravine.recipe.verdict import Verdict
from ravine.training import Run, Setting, headline
from ravine.training.evaluation import outputs_of

__all__ = ["overfit"]

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
BATCHES = 5
EVERY = 10
MOST_STEPS = 3000
GOAL = {"accuracy": 1.0, "r2": 0.99}
SOFTMAX = "its outputs are probabilities already, and the loss takes another softmax of them"
TAKE_IT_OFF = "Take the softmax off the end of the model: the loss wants logits."


def overfit(session: Session, deadline: float = math.inf) -> Verdict:
    """Train on BATCHES mini-batches with AdamW at K rates until one has learnt them, or time is up."""
    sample = _sample(session)
    settings = [
        Setting(
            optimizer="adamw",
            lr=rate,
            dropout=0.0 if session.has_dropout else None,
            schedule="constant",
            warmup=0.0,
            batch_size=min(session.batch_size, len(sample.train) // BATCHES or 1),
            seed=session.seed,
        )
        for rate in RATES
    ]
    run = Run(sample, session.model, settings, steps=MOST_STEPS, every=EVERY, device=session.device)
    seconds, in_time = _train(run, session, deadline)
    session.pace = seconds
    return _judge(run, sample, session, in_time)


def _sample(session: Session) -> Data:
    train = session.data.train
    count = min(len(train), BATCHES * session.batch_size)
    index = permutation(len(train), session.seed, "overfit")[:count].to(train.y.device)
    few = MemorySplit(*train.batch(index))
    return dataclasses.replace(session.data, train=few, validation=few)


def _train(run: Run, session: Session, deadline: float) -> tuple[float, bool]:
    """Until the goal, the deadline or the last step; hopeless rates are dropped on the way.

    Returns seconds per trial and step, and whether time sufficed.
    """
    metric, trial_steps, start = headline(session.data.task), 0, time.monotonic()
    in_time = True
    while in_time and not run.finished and run.trials:
        before = run.step
        in_time = run.advance(EVERY, deadline=deadline if run.step else math.inf)  # a verdict needs a few steps
        trial_steps += (run.step - before) * len(run.trials)
        reached = [m[metric] for m in run.evaluate()]
        session.watch.advance(run.step / MOST_STEPS, f"{metric} {max(reached):.3f} on the sample")
        if max(reached) >= GOAL[metric]:
            break
        if run.step in (50, 150):
            _keep_half(run, reached)
    return (time.monotonic() - start) / max(trial_steps, 1), in_time


def _keep_half(run: Run, reached: list[float]) -> None:
    order = sorted(
        range(len(reached)), key=lambda k: reached[k] if math.isfinite(reached[k]) else -math.inf, reverse=True
    )
    run.keep(sorted(order[: -(-len(order) // 2)]))


def _judge(run: Run, sample: Data, session: Session, in_time: bool) -> Verdict:
    evidence = _evidence(run, sample, session)
    metric, goal = evidence["metric"], evidence["goal"]
    best = evidence["final_metric"][evidence["best"]]
    shown = f"{100 * best:.1f} % accuracy" if metric == "accuracy" else f"r2 {best:.3f}"
    where = f"{evidence['samples']} examples at lr {RATES[evidence['best']]:g}"
    if run.trials and _has_softmax(run, sample):
        evidence["cause"] = SOFTMAX
        floor = min(loss for loss in evidence["final_loss"] if math.isfinite(loss))
        summary = f"The loss stops at {floor:.3f} on {where}, with {shown}: {SOFTMAX}."
        return Verdict("overfit", "fail", summary, evidence, (TAKE_IT_OFF,))
    if best >= goal:
        step = evidence["reached_at_step"][evidence["best"]]
        return Verdict("overfit", "pass", f"The model learns {where} by heart: {shown} after {step} steps.", evidence)
    cause, advice = _cause(evidence, run, sample)
    evidence["cause"] = cause
    nearly = best >= (0.95 if metric == "accuracy" else 0.9)
    short = "" if in_time else " Its share of the budget ran out, so this is unsure."
    summary = f"The model reaches {shown} on {where}, not {100 * goal:.0f} %: {cause}.{short}"
    return Verdict(
        "overfit", "warn" if nearly or (not in_time and best > 0.5) else "fail", summary, evidence, (advice,)
    )


def _evidence(run: Run, sample: Data, session: Session) -> dict[str, Any]:
    metric = headline(session.data.task)
    tables = [run.history.epochs(k) for k in range(len(RATES))]
    finals = [t["train_metric"][-1] if t["train_metric"] else math.nan for t in tables]
    losses = [t["train_loss"][-1] if t["train_loss"] else math.nan for t in tables]
    best = max(range(len(RATES)), key=lambda k: (finals[k] if math.isfinite(finals[k]) else -math.inf, -losses[k]))
    reached = [
        next((int(s) for s, m in zip(t["step"], t["train_metric"], strict=True) if m >= GOAL[metric]), None)
        for t in tables
    ]
    curve = {"step": tables[best]["step"], "loss": tables[best]["train_loss"], "metric": tables[best]["train_metric"]}
    return {
        "samples": len(sample.train),
        "batches": -(-len(sample.train) // run.batch_size),
        "batch_size": run.batch_size,
        "optimizer": "adamw",
        "metric": metric,
        "goal": GOAL[metric],
        "rates": list(RATES),
        "final_loss": losses,
        "final_metric": finals,
        "reached_at_step": reached,
        "best": best,
        "curve": curve,
        "cause": None,
    }


def _cause(evidence: dict[str, Any], run: Run, sample: Data) -> tuple[str, str]:
    """Which of the lecture's causes a failure looks like, and what to change."""
    losses = [loss for loss in evidence["final_loss"] if math.isfinite(loss)]
    if not losses:
        return (
            f"the loss is not finite at any rate from {RATES[0]:g} to {RATES[-1]:g}, so the initialization is bad or a layer divides by zero",
            "Start the weights smaller (nn.init.kaiming_normal_) and look for log, division or exp in forward.",
        )
    first = run.history.steps(evidence["best"])
    if first["grad_norm"][0] < 1e-7:
        return (
            f"no gradient reaches the weights (norm {first['grad_norm'][0]:.1e} at the first step)",
            "Look for detach(), torch.no_grad(), argmax or a dead activation in forward.",
        )
    if min(losses) > 0.98 * first["loss"][0]:
        return (
            "the loss does not go down at any rate: the steps are too small or the initialization is bad",
            "Raise the rate beyond 0.03 or start the weights larger; check that the inputs are not all alike.",
        )
    clashes = _contradictions(sample.train)
    if clashes:
        return (
            f"{clashes} of its examples have the same input as another but a different label",
            "Mend the labels, or add the column that tells such examples apart.",
        )
    return (
        "the loss goes down but stops short: the network is too small, or an output range or a layer limits it",
        "Use a wider network (--set hidden=512,512), and check that the last layer has no activation.",
    )


def _has_softmax(run: Run, sample: Data) -> bool:
    """Do the outputs look like the result of a softmax: none negative, each row with sum 1?"""
    if sample.task != "classification":
        return False
    outputs = outputs_of(run.population.stack.modules[0], sample.train)
    ones = torch.ones(len(outputs), device=outputs.device)
    return bool((outputs >= 0).all()) and torch.allclose(outputs.sum(-1), ones, atol=1e-4)


def _contradictions(split: Split) -> int:
    """How many examples share their input with an example of another label."""
    x, y = split.batch(torch.arange(len(split), device=split.y.device))
    _, group = torch.unique(x.flatten(1), dim=0, return_inverse=True)
    count = int(group.max()) + 1
    low = torch.full((count,), math.inf, device=y.device).scatter_reduce(0, group, y.float(), "amin")
    high = torch.full((count,), -math.inf, device=y.device).scatter_reduce(0, group, y.float(), "amax")
    return int((low != high)[group].sum())
