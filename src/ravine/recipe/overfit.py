"""Step 2: can the model learn a few mini-batches by heart?

Five mini-batches, no regularization, several rates at once. A model that cannot reach 100 % on so little
will not learn the whole set; `causes` reads off the losses why. Where examples contradict each other the goal is
what they leave possible.

Letters: K rates.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

from ravine.data import Data, MemorySplit
from ravine.randomness import permutation
from ravine.recipe.causes import Clashes, find_cause, find_clashes, find_softmax
from ravine.recipe.session import Session
from ravine.recipe.verdict import Verdict
from ravine.training import Run, Setting, headline

__all__ = ["overfit"]

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
BATCHES = 5
EVERY = 10
MOST_STEPS = 3000
GOAL = {"accuracy": 1.0, "r2": 0.99}
SLACK = {"accuracy": 1e-6, "r2": 0.01}  # below what examples that contradict each other leave possible


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
    saver = session.saver
    run = Run(
        sample,
        session.model,
        settings,
        steps=MOST_STEPS,
        every=EVERY,
        between=saver.safe,
        engine=session.engine,
        device=session.device,
    )
    with saver.going_on("overfit") as saved:
        if saved:
            run.restore(saved["run"])
            run.history.restore(saved["history"])
    clashes = find_clashes(sample)
    metric = headline(sample.task)
    goal = min(GOAL[metric], clashes.ceiling - SLACK[metric]) if clashes.examples else GOAL[metric]
    with saver.during("overfit", lambda: {"run": run.snapshot(), "history": run.history.snapshot()}):
        seconds, in_time = _train(run, session, goal, deadline)
    session.pace = seconds
    return _judge(run, sample, goal, clashes, in_time=in_time)


def _sample(session: Session) -> Data:
    train = session.data.train
    count = min(len(train), BATCHES * session.batch_size)
    index = permutation(len(train), session.seed, "overfit")[:count].to(train.y.device)
    few = MemorySplit(*train.batch(index))
    return dataclasses.replace(session.data, train=few, validation=few)


def _train(run: Run, session: Session, goal: float, deadline: float) -> tuple[float, bool]:
    """Until the goal, the deadline or the last step; hopeless rates are dropped on the way.

    Returns seconds per trial and step, and whether time sufficed.
    """
    metric, trial_steps, start = headline(session.data.task), 0, time.monotonic()
    in_time = True
    while in_time and not run.finished and run.trials:
        before = run.step
        in_time = run.advance(
            EVERY - run.step % EVERY, deadline=deadline if run.step else math.inf
        )  # a verdict needs a few steps
        trial_steps += (run.step - before) * len(run.trials)
        reached = [m[metric] for m in run.evaluate()]
        session.watch.advance(run.step / MOST_STEPS, f"{metric} {max(reached):.3f} on the sample")
        if max(reached) >= goal:
            break
        if run.step in (50, 150):
            _keep_half(run, reached)
    return (time.monotonic() - start) / max(trial_steps, 1), in_time


def _keep_half(run: Run, reached: list[float]) -> None:
    order = sorted(
        range(len(reached)), key=lambda k: reached[k] if math.isfinite(reached[k]) else -math.inf, reverse=True
    )
    run.keep(sorted(order[: -(-len(order) // 2)]))


def _judge(run: Run, sample: Data, goal: float, clashes: Clashes, *, in_time: bool) -> Verdict:
    evidence = _evidence(run, sample, goal)
    metric, best = evidence["metric"], evidence["final_metric"][evidence["best"]]
    shown = f"{100 * best:.1f} % accuracy" if metric == "accuracy" else f"r2 {best:.3f}"
    where = f"{evidence['samples']} examples at lr {RATES[evidence['best']]:g}"
    softmax = find_softmax(run, sample)
    if best >= goal and not softmax:
        step = evidence["reached_at_step"][evidence["best"]]
        summary = f"The model learns {where} by heart: {shown} after {step} steps."
        if not clashes.examples:
            return Verdict("overfit", "pass", summary, evidence)
        evidence["cause"] = clashes.cause.text
        more = f"{summary} More is not possible: {clashes.cause.text}."
        return Verdict("overfit", "warn", more, evidence, (clashes.cause.advice,))
    cause = softmax or find_cause(evidence, run)
    evidence |= {"cause": cause.text, "fault": cause.fault or None}
    if softmax:
        floor = min((loss for loss in evidence["final_loss"] if math.isfinite(loss)), default=math.nan)
        summary = f"The loss stops at {floor:.3f} on {where}, with {shown}: {cause.text}."
    else:
        summary = f"The model reaches {shown} on {where}, not {_goal_shown(metric, goal)}: {cause.text}."
    unsure = not in_time and not cause.certain
    if unsure:
        summary += " Its share of the budget ran out, so this is unsure."
    nearly = not cause.certain and best >= goal - (0.05 if metric == "accuracy" else 0.09)
    return Verdict("overfit", "warn" if nearly or unsure else "fail", summary, evidence, (cause.advice,))


def _goal_shown(metric: str, goal: float) -> str:
    return f"{100 * goal:.4g} %" if metric == "accuracy" else f"{goal:.3g}"


def _evidence(run: Run, sample: Data, goal: float) -> dict[str, Any]:
    metric = headline(sample.task)
    tables = [run.history.epochs(k) for k in range(len(RATES))]
    finals = [t["train_metric"][-1] if t["train_metric"] else math.nan for t in tables]
    losses = [t["train_loss"][-1] if t["train_loss"] else math.nan for t in tables]
    best = max(range(len(RATES)), key=lambda k: (finals[k] if math.isfinite(finals[k]) else -math.inf, -losses[k]))
    reached = [
        next((int(s) for s, m in zip(t["step"], t["train_metric"], strict=True) if m >= goal), None) for t in tables
    ]
    curve = {"step": tables[best]["step"], "loss": tables[best]["train_loss"], "metric": tables[best]["train_metric"]}
    return {
        "samples": len(sample.train),
        "batches": -(-len(sample.train) // run.batch_size),
        "batch_size": run.batch_size,
        "optimizer": "adamw",
        "metric": metric,
        "goal": goal,
        "rates": list(RATES),
        "final_loss": losses,
        "final_metric": finals,
        "reached_at_step": reached,
        "best": best,
        "curve": curve,
        "cause": None,
        "fault": None,  # the cause's name in the catalogue, where it has one
    }
