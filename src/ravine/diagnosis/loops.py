"""What is said of a loop that a monitor has watched.

The tests are those of `ravine.diagnosis.faults` as far as they can be made without an experiment: a loop that a person
wrote cannot be run again with another setting. What is certain by construction is told as such; what is read off a
course of losses is told with less confidence. Thresholds were set by benchmarks/monitor_alarms.py.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.rank import ranked
from ravine.diagnosis.watched import Sight, Watched

__all__ = ["judged"]

RISEN = 2.0
"""A loss that ends at so many times its first one has not been trained down."""

STOOD = 0.9
"""A loss that ends at so much of its first one or more has stood still: 0.63 was the most in 67 healthy loops."""

CREPT = 1.2
"""And when the steps are small, a loss that ends at so many times its first ones goes the wrong way."""

EARLY = 5
"""Looks in which the size of the steps is judged: a network that a rate has killed hardly moves any more."""

FAR = 0.1
"""An update that is a tenth of the parameters' own size or more: usual ones are a thousandth to a hundredth."""

SMALL_MOVE = 0.02

LEAP = 1.0
"""One of the first updates as large as the parameters: up to 0.41 in 67 healthy loops."""

MANY = 0.1
"""A share of the parameters, by number or by tensors, that is worth a person's time."""

DEAD = 0.9
"""Share of a layer's units that are zero on a whole batch: a healthy ReLU layer was seen with up to 0.4."""

EXPLAINS = {
    "nan-input": ("exploding-gradient", "lr-too-high"),
    "softmax-before-loss": ("vanishing-gradient", "lr-too-high"),
    "gradients-not-cleared": ("exploding-gradient", "lr-too-high", "dead-units"),
    "gradient-ascent": ("exploding-gradient", "lr-too-high", "dead-units"),
    "lr-too-high": ("exploding-gradient", "dead-units"),
    "stale-or-foreign-parameters": ("unused-parameters", "frozen-parameters", "vanishing-gradient"),
}
"""In a loop: which alarms follow from which."""


def judged(watched: Watched) -> list[Finding]:
    """The findings, the root first."""
    return ranked([finding for check in CHECKS for finding in check(watched)], EXPLAINS)


def not_cleared(watched: Watched) -> Iterator[Finding]:
    """Every backward since the step before has added to gradients that were there already."""
    known = [sight.added for sight in watched.sights if sight.added is not None]
    if sum(known) >= 2 and sum(known[-4:]) >= 0.75 * len(known[-4:]):
        yield Finding(
            "gradients-not-cleared",
            0.97 if all(known) else 0.8,
            {"steps_looked_at": len(known), "steps_that_added": sum(known)},
            "the loop, before loss.backward()",
            "Write optimizer.zero_grad() once in every step, before loss.backward(): each step takes the sum of all "
            "gradients so far.",
        )
    dropped = [sight.dropped for sight in watched.sights]
    if sum(dropped) >= 2 and all(dropped[-2:]):
        yield Finding(
            "vanishing-gradient",
            0.9,
            {"steps_without_gradient": sum(dropped), "steps_looked_at": len(dropped)},
            "the loop, between loss.backward() and optimizer.step()",
            "Move optimizer.zero_grad() before loss.backward(): gradients are cleared before the optimizer sees them.",
        )


def stale(watched: Watched) -> Iterator[Finding]:
    """Parameters of the model that have a gradient and that no optimizer holds."""
    if not watched.sights:
        return
    last = watched.sights[-1]
    foreign, alive = last.foreign
    evidence = {
        "parameters_of_the_model": len(last.names),
        "held": last.held,
        "with_gradient_and_not_held": len(last.unheld),
        "held_but_not_the_models": foreign,
    }
    advice = (
        "Make the optimizer anew, of model.parameters(), once the model is complete and every layer is in its place."
    )
    if not last.held and foreign:
        yield Finding("stale-or-foreign-parameters", 0.99, evidence, "all parameters of the model", advice)
        return
    if not last.unheld:
        return
    names = ", ".join(last.unheld[:4]) + (", ..." if len(last.unheld) > 4 else "")
    wanting = [name for name, _ in last.names if name in last.grads]
    if foreign > alive:
        confidence = 0.97
    elif wanting[-1] in last.unheld:  # a person who trains a part on purpose trains the end of the model
        confidence = 0.75
    else:
        confidence = 0.4
        advice = (
            "Set requires_grad=False for these if they are to stay as they are, or else give them to the optimizer."
        )
    yield Finding("stale-or-foreign-parameters", confidence, evidence, names, advice)


def evaluating(watched: Watched) -> Iterator[Finding]:
    """The model trains in evaluation mode."""
    known = [sight.evaluating for sight in watched.sights]
    if sum(known) >= 2 and all(known[-2:]):
        where = "all steps" if all(known) else f"the last {_run(known)} steps looked at"
        yield Finding(
            "train-eval-mismatch",
            0.9,
            {"steps_looked_at": len(known), "steps_in_evaluation_mode": sum(known)},
            f"the model's mode, {where}",
            "Write model.train() before the training steps, and again after every evaluation: dropout is off, and batch "
            "normalization uses its running statistics and no longer learns them.",
        )


def loss_function(watched: Watched) -> Iterator[Finding]:
    """What the graph of the loss says."""
    graphs = watched.graphs
    twice = next((graph.twice for graph in graphs if graph.twice), "")
    if twice:
        log = "without" in twice
        yield Finding(
            "softmax-before-loss",
            0.97,
            {"before_the_loss": twice, "losses": graphs[0].losses},
            "the model's output",
            "Give nll_loss the logarithms: end the model in log_softmax, or take the softmax off and use cross_entropy."
            if log
            else f"Take the {twice} off the end of the model: the loss takes logits and has one of its own.",
        )
    if any(graph.raw for graph in graphs):
        yield Finding(
            "wrong-loss",
            0.9,
            {"losses": graphs[0].losses},
            "the loss",
            "nll_loss wants logarithms of probabilities and is given logits: use cross_entropy, or end the model in "
            "log_softmax.",
        )
    maximize = any(sight.maximize for sight in watched.sights)
    negated = any(graph.negated for graph in graphs)
    if any(graph.losses for graph in graphs) and negated != maximize:
        yield Finding(
            "gradient-ascent",
            0.93,
            {"losses": graphs[0].losses, "negated": negated, "maximize": maximize},
            "the sign of the loss" if negated else "the optimizer's maximize",
            "Take the minus off the loss: this makes it as large as it can be."
            if negated
            else "Write maximize=False: this makes the loss as large as it can be.",
        )


def summed(watched: Watched) -> Iterator[Finding]:
    """A loss added up over a large batch: every step is as many times too long."""
    rows = max((sight.rows for sight in watched.sights), default=0)
    if rows < 8 or not any(graph.summed for graph in watched.graphs):
        return
    moves, losses = [sight.move for sight in watched.sights], watched.losses
    spoilt = not all(map(math.isfinite, losses + moves))
    bad = spoilt or max(moves) > FAR or (len(losses) >= 20 and statistics.median(losses[-10:]) > 0.9 * losses[0])
    yield Finding(
        "lr-too-high",
        0.9 if bad else 0.4,
        {
            "rows_in_a_batch": rows,
            "largest_update_over_parameters": _finite(max(moves, default=0.0)),
            "finite": not spoilt,
        },
        "the loss's reduction",
        f'Write reduction="mean" (or divide the loss by {rows}, the rows of a batch): summed, the gradient and the step are '
        f"{rows} times as large as the rate was meant for.",
    )


def course(watched: Watched) -> Iterator[Finding]:
    """What the losses themselves say."""
    losses, sights, at = watched.losses, watched.sights, watched.spoilt_at
    if sights and not all(sight.finite_input for sight in sights):
        yield Finding(
            "nan-input",
            0.95,
            {"steps_with_it": sum(not sight.finite_input for sight in sights), "steps_looked_at": len(sights)},
            "the input of the model",
            "Replace the values that are NaN or infinite before training, such as by the mean of their column.",
        )
        return
    moves = [sight.move for sight in sights[:EARLY] if math.isfinite(sight.move)]
    furthest = max(moves, default=0.0)
    if at is not None:
        yield _spoilt(at, furthest)
        return
    if len(losses) < 20:
        return
    start, end = statistics.median(losses[:5]), losses[-10:]
    evidence = {"first_losses": start, "last_losses": statistics.median(end), "update_over_parameters": furthest}
    if furthest < SMALL_MOVE and start > 0 and min(end) > start and statistics.median(end) > CREPT * start:
        adversary = any(graph.shared for graph in watched.graphs)  # which makes it rise while this model does well
        yield Finding(
            "gradient-ascent",
            0.35 if adversary else 0.7,
            evidence,
            "the sign of the loss",
            "Look for a minus before the loss or its backward, and for maximize=True: the loss rises though the steps are small.",
        )
    if 0 < RISEN * losses[0] < statistics.median(end):
        confidence = 0.75 if furthest >= SMALL_MOVE else 0.4
        yield Finding("lr-too-high", confidence, evidence, "the learning rate", "Lower the rate to a tenth.")
    elif furthest > LEAP and statistics.median(end) > STOOD * losses[0]:
        yield Finding("lr-too-high", 0.75, evidence, "the learning rate", "Lower the rate to a hundredth.")


def _spoilt(at: int, furthest: float) -> Finding:
    """A loss that is not finite, the input being so. furthest: of the first updates over the parameters."""
    evidence = {"first_loss_not_finite": at, "update_over_parameters": furthest}
    confidence = 0.8 if at > 1 else 0.6
    if at > 1 and furthest >= SMALL_MOVE:
        return Finding("lr-too-high", confidence, evidence, "the learning rate", "Lower the rate to a tenth.")
    return Finding(
        "exploding-gradient",
        confidence,
        evidence,
        "the loss",
        "Look for a logarithm, a division or an exponential of what grows, and clip the gradient "
        "(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)).",
    )


def layers(watched: Watched) -> Iterator[Finding]:
    """Units, gradients and parameters by layer, as the last looks saw them."""
    if len(watched.sights) < 3:
        return
    last, before = watched.sights[-1], watched.sights[-2]
    dead = {name: share for name, share in last.dead.items() if share > DEAD and before.dead.get(name, 0.0) > DEAD}
    if dead:
        worst = max(dead, key=lambda name: dead[name])
        yield Finding(
            "dead-units",
            0.7,
            {"share_of_units": dead[worst], "layers": len(dead)},
            worst,
            "Lower the rate to a tenth, or start again with smaller biases; leaky_relu lets a gradient through.",
        )
    looks = watched.sights[-5:]
    silent = tuple(name for name in last.without if all(name in sight.without for sight in looks))
    if silent and len(silent) < len(last.names) and not all(sight.dropped for sight in looks):
        yield from _silent(watched, silent)
    still = tuple(
        name
        for name, move in last.moves.items()
        if last.grads.get(name, 0.0) > 0 and all(sight.moves.get(name, 1.0) == 0 for sight in looks)
    )
    if still and last.move > 0 and move_of(still, last) == 0:
        meant = all(name in last.still for name in still)
        yield Finding(
            "frozen-parameters",
            0.45 if meant else 0.7,
            {"parameters": len(still), "share": last.share(still)},
            _listed(still),
            "Give their group a rate above 0: the optimizer holds them, and they do not move.",
        )


def _silent(watched: Watched, silent: tuple[str, ...]) -> Iterator[Finding]:
    """Held parameters to which no gradient comes: of modules that run, or of ones that never do."""
    last = watched.sights[-1]
    ran = frozenset().union(*(sight.called for sight in watched.sights))
    cut = tuple(name for name in silent if name.rpartition(".")[0] in ran)
    unused = tuple(name for name in silent if name not in cut)
    if cut:
        yield Finding(
            "frozen-parameters",
            0.8 if max(last.share(cut), len(cut) / len(last.names)) > MANY else 0.4,
            {"parameters": len(cut), "share": last.share(cut), "steps_looked_at": len(watched.sights)},
            _listed(cut),
            "Look for detach(), torch.no_grad(), .data or argmax behind these layers: they run, and no gradient comes back.",
        )
    if unused:
        yield Finding(
            "unused-parameters",
            0.6 if last.share(unused) > MANY else 0.4,
            {"parameters": len(unused), "share": last.share(unused), "steps_looked_at": len(watched.sights)},
            _listed(unused),
            "Use these layers in forward, or take them out of the model: the loss does not depend on them.",
        )


def move_of(names: tuple[str, ...], sight: Sight) -> float:
    return max((sight.moves[name] for name in names), default=0.0)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _run(known: list[bool]) -> int:
    """How many at the end are True."""
    return next((i for i, value in enumerate(reversed(known)) if not value), len(known))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


CHECKS = (not_cleared, stale, evaluating, loss_function, summed, course, layers)
