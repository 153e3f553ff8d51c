"""Writes a page for every rule and method: formula, source, memory, hyper-parameters, speed, and a path to look at.

All of it comes from the registries, the docstrings, the comments beside the fields and benchmarks/results/optimizers.txt.
"""

from __future__ import annotations

import inspect
from functools import cache

import torch

from docstrings import escaped, to_markdown
from fields import rows
from pictures import best_walk, paths_picture
from ravine import optim
from ravine.landscapes import surface
from ravine.rules import METHODS, RULES
from rules_table import RESULTS, measured

__all__ = ["page", "pages"]

STEPS = 100
RATES = tuple(10 ** (i / 4 - 4) for i in range(21))
"""From 1e-4 to 10, four in a decade."""


@cache
def pages() -> dict[str, str]:
    """Every page by its place under docs/."""
    speeds = measured(RESULTS.read_text()) if RESULTS.exists() else {}
    return {
        f"rules/{name}.md": page(name, kind, speeds.get(kind.__name__, ""))
        for name, kind in {**RULES, **METHODS}.items()
    }


def page(name: str, kind: type, speed: str = "") -> str:
    """One rule as Markdown."""
    parts = [
        f"# {kind.__name__}",
        to_markdown(_described(kind)),
        "## Hyper-parameters",
        table(("name", "default", "what it is"), [(f"`{n}`", f"`{d}`", escaped(said)) for n, d, said in rows(kind)]),
        _beside(kind),
        "## In use",
        _use(name, kind),
        "## A path",
        _path(name),
    ]
    if speed:
        parts += ["## Speed", _speed(speed)]
    parts.append("[All rules](../rules.md) · [Choosing a rule](../choosing/rule.md)")
    return "\n\n".join(part for part in parts if part) + "\n"


def _described(kind: type) -> str:
    """The docstring without its indentation."""
    return inspect.getdoc(kind) or ""


def table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    marks = ["| " + " | ".join(cells) + " |" for cells in [head, ("---",) * len(head), *lines]]
    return "\n".join(marks)


def _beside(kind: type) -> str:
    if kind in METHODS.values():
        return (
            "A method asks for losses at places of its own choosing, so it is run by `ravine.rules.minimize` or as an "
            "optimizer whose `step` takes a closure. It cannot stand in a population's mini-batch."
        )
    alone = (
        "A coordinate looks at no other, so the trials of a population share one pass over memory."
        if kind.elementwise  # type: ignore[attr-defined]
        else "A step takes a norm or a matrix of the whole parameter; in a population it is mapped over the trials."
    )
    decay = (
        " Weight decay is decoupled: it shrinks weights by `lr * weight_decay`, apart from the gradient."
        if kind.decoupled  # type: ignore[attr-defined]
        else " Weight decay is coupled: it is added to the gradient."
        if any(name == "weight_decay" for name, *_ in rows(kind))
        else ""
    )
    return alone + decay


def _use(name: str, kind: type) -> str:
    own = kind.__name__
    lines = ["```python", "from torch import nn", "", "from ravine import optim", "", "model = nn.Linear(4, 1)"]
    lines.append(f"optimizer = optim.{own}(model.parameters(){'' if name in METHODS else ', lr=0.01'})")
    lines.append("```")
    said = [
        f"As an optimizer: [`optim.{own}`][ravine.optim.{own}]"
        + (f", with the arguments of `torch.optim.{own}`." if _twin(own) else ".")
    ]
    if name in RULES:
        said.append(f"By name: `ravine train --optimizer {name}`, or `--space optimizer={name},adamw` in a search.")
    said.append(f"On a surface: `ravine landscape --surface ravine50 --rule {name} --lr .01 .1`.")
    said.append(f"As a value: [`rules.{own}`][ravine.rules.{own}].")
    return "\n".join(lines) + "\n\n" + "\n".join(f"- {line}" for line in said)


def _twin(own: str) -> bool:
    return hasattr(torch.optim, own) and hasattr(optim, own)


def _path(name: str) -> str:
    shown = []
    for place, from_here in (("ravine50", (4.0, 0.5)), ("rosenbrock", (-1.2, 1.0))):
        here = surface(place)
        walked = best_walk(here, name, RATES if name in RULES else (1.0,), from_here, STEPS)
        words = f"{here.formula}: {walked.steps} steps end at {walked.losses[-1]:.2g}"
        if name in RULES:
            words += f" with lr {walked.lr:.2g}"
        shown.append(paths_picture(here, {name: walked}, caption=words))
    tried = (
        f"The rate is the best of {len(RATES)} from {RATES[0]:g} to {RATES[-1]:g} for these {STEPS} steps: it says what the rule can do "
        "on this surface, not what to use elsewhere. A ring marks the start, a star the minimum."
        if name in RULES
        else f"At most {STEPS} steps; each is a line search. A ring marks the start, a star the minimum."
    )
    return "\n\n".join(["The ravine f = x² + 50 y² and Rosenbrock's valley.", *shown, tried])


def _speed(speed: str) -> str:
    return (
        f"A step of torch's default takes {_ratios(speed)}: 20 million float32 parameters in 50 tensors on 2 CPU cores, median (lowest-highest) "
        "of 10 rounds in `benchmarks/results/optimizers.txt`."
    )


def _ratios(speed: str) -> str:
    default, _, fused = speed.partition(", fused ")
    said = f"{default} times as long as ours"
    return f"{said}, a step of its fused kernel {fused} times" if fused else said
