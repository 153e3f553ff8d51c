"""Which paths share a panel, and in which colours: by rule, by rate, or all in one race."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.landscapes import Path
from ravine.reports.landscape.asked import Walked
from ravine.reports.landscape.drawing import Drawing, Line, Panel, drawn_panels
from ravine.reports.landscape.endings import point
from ravine.reports.landscape.shades import DASHES, Stroke, stroke
from ravine.reports.wording import label, number

__all__ = ["draw"]


def draw(walked: Walked) -> Drawing:
    """The picture that was asked for. Raises SettingError for a surface that is not of two dimensions."""
    asked = walked.asked
    rates = [number(lr) for lr in asked.lrs]
    several = len(rates) > 1
    lines = [_line(walked, k, several) for k in range(len(walked.paths))]
    if asked.arrangement == "race":
        panels = [Panel(label(walked.surface.formula), lines)]
    elif asked.arrangement == "rates":
        panels = _by_rate(walked, lines)
    else:
        panels = [
            Panel(_titled(walked, name), [line for line, own in zip(lines, walked.names, strict=True) if own == name])
            for name in asked.rules
        ]
    slider = rates if several and asked.arrangement != "rates" else []
    return drawn_panels(walked.surface, panels, slider, losses_apart=asked.arrangement == "rules")


def _line(walked: Walked, k: int, several: bool) -> Line:
    """How the k-th path is drawn: coloured by its rate, or by its rule in a race (then dashed by its rate)."""
    asked, name, rate = walked.asked, walked.names[k], walked.rates[k]
    at = None if rate is None else asked.lrs.index(rate)
    own = f"lr {number(walked.paths[k].lr)}" if rate is None else f"lr {number(rate)}"
    if asked.arrangement == "race":
        look = stroke(asked.rules.index(name))
        look = Stroke(look.colour, DASHES[(at or 0) % len(DASHES)], look.symbol)
        return Line(
            walked.paths[k], f"{name}, {own}" if several and at is not None else name, look, at if several else None
        )
    shown = own if at is not None else name
    place = len(asked.lrs) + asked.rules.index(name) if at is None else at
    if not several and len(asked.starts) > 1:  # nothing else tells the paths of a panel apart
        place = asked.starts.index(walked.paths[k].start)
        shown = f"from {point(walked.paths[k].start)}"
    return Line(walked.paths[k], shown, stroke(place), at if several and asked.arrangement == "rules" else None)


def _by_rate(walked: Walked, lines: Sequence[Line]) -> list[Panel]:
    """A panel for each rule and rate, titled in the colour of its path."""
    pairs = list(dict.fromkeys(zip(walked.names, walked.rates, strict=True)))
    panels = []
    for name, rate in pairs:
        own = [
            line for line, *pair in zip(lines, walked.names, walked.rates, strict=True) if tuple(pair) == (name, rate)
        ]
        rule = f"{name}, " if len(walked.asked.rules) > 1 else ""
        panels.append(Panel(f"{rule}{own[0].name}{_ended([line.path for line in own])}", own, own[0].stroke.colour))
    return panels


def _ended(paths: Sequence[Path]) -> str:
    """The end of a title when every path stopped before its last step."""
    if len(paths) == 1 and paths[0].stopped == "diverged":
        return f": diverges after step {paths[0].steps}"
    return ""


def _titled(walked: Walked, name: str) -> str:
    formula = label(walked.surface.formula)
    return f"{label(name)} on {formula}" if len(walked.asked.rules) == 1 else label(name)
