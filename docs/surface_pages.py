"""Writes a page for every surface: its level bands with paths over them, what is known of it, and where the rules end."""

from __future__ import annotations

import inspect
import math
from functools import cache

from docstrings import escaped, to_markdown
from pictures import best_walk, paths_picture
from ravine.landscapes import SURFACES, Surface, Theory
from rule_pages import RATES, table

__all__ = ["page", "pages"]

RULES = ("gd", "momentum", "adam")
STEPS = 200


@cache
def pages() -> dict[str, str]:
    """Every page by its place under docs/."""
    return {f"surfaces/{name}.md": page(name) for name in SURFACES}


def page(name: str) -> str:
    """One surface as Markdown."""
    make = SURFACES[name]
    here = make()
    walked = {rule: best_walk(here, rule, RATES, here.start, STEPS) for rule in RULES}
    lines = [
        (f"`{rule}`", f"{path.lr:.2g}", str(path.steps), path.stopped, f"{path.losses[-1]:.3g}")
        for rule, path in walked.items()
    ]
    parts = [
        f"# {name}",
        f"f = {escaped(here.formula)}",
        to_markdown(inspect.getdoc(make) or "", list(inspect.signature(make).parameters)),
        paths_picture(here, walked, caption=f"{STEPS} steps from {_point(here.start)}") if here.dimension == 2 else "",
        "## Where paths end",
        table(("rule", "rate", "steps", "stopped", "f at the end"), lines),
        f"Each rate is the one of {len(RATES)} from {RATES[0]:g} to {RATES[-1]:g} with the lowest f after at most {STEPS} steps from "
        f"{_point(here.start)}. " + _stops(here),
        "## What is known",
        "\n".join(f"- {fact}" for fact in facts(here)),
        "## In use",
        f"```console\n$ ravine landscape --surface {name} --rule gd momentum --lr .001 .01 --steps 50\n```",
        _numbers(name),
        "[All pictures of the theory chapter](../theory/index.md)",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def facts(here: Surface) -> list[str]:
    """What is known of a surface beforehand."""
    found = []
    if here.minima:
        places = ", ".join(_point(place) for place in here.minima)
        found.append(f"Least value {here.minimum:g} at {places}.")
    else:
        found.append("It has no minimum: it falls without end.")
    if here.quadratic is not None:
        theory = Theory(here.quadratic)
        found.append(
            f"A quadratic with eigenvalues from {theory.smallest:.4g} to {theory.largest:.4g}: condition number {theory.condition:.4g}, "
            f"plain descent diverges above lr {theory.edge:.4g} and is fastest at {theory.best_lr:.4g}."
        )
    if here.noise:
        found.append(
            f"Its gradient carries noise of variance {here.noise:g} in each coordinate, as a mini-batch's does."
        )
    if here.log:
        found.append("It is drawn in logarithms, or its walls would hide its valley.")
    found.append("Gradient and Hessian are exact.")
    return found


def _stops(here: Surface) -> str:
    fallen = (
        "" if here.minima else " Where f falls without end, so do the paths; they stop when they have left for good."
    )
    return f"*converged* means that nothing moves any more, *steps* that the steps were used up.{fallen}"


def _numbers(name: str) -> str:
    """The numbers that shape it, as its function takes them."""
    given = inspect.signature(SURFACES[name]).parameters.values()
    shown = [f"`--set {p.name}={p.default}`" for p in given if p.default is not p.empty]
    return f"Numbers that shape it, with what they are when not given: {', '.join(shown)}." if shown else ""


def _point(place: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" if math.isfinite(value) else str(value) for value in place) + ")"
