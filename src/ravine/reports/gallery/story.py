"""All chapters, in the lecture's order."""

from __future__ import annotations

from ravine.errors import SettingError, nearest
from ravine.reports.gallery.adaptive import ADAPTIVE
from ravine.reports.gallery.chapter import Chapter, Figure
from ravine.reports.gallery.descent import DESCENT
from ravine.reports.gallery.generalization import GENERALIZATION
from ravine.reports.gallery.momentum import MOMENTUM
from ravine.reports.gallery.rates import RATES
from ravine.reports.gallery.rosenbrock import ROSENBROCK
from ravine.reports.gallery.search import SEARCH
from ravine.reports.gallery.second_order import SECOND_ORDER
from ravine.reports.gallery.trouble import TROUBLE

__all__ = ["CHAPTERS", "figure_named", "figures"]

CHAPTERS: tuple[Chapter, ...] = (
    DESCENT,
    TROUBLE,
    MOMENTUM,
    ADAPTIVE,
    ROSENBROCK,
    RATES,
    SECOND_ORDER,
    GENERALIZATION,
    SEARCH,
)
"""The parts of the story."""


def figures() -> dict[str, Figure]:
    """Every figure by its name, in order."""
    return {figure.name: figure for chapter in CHAPTERS for figure in chapter.figures}


def figure_named(name: str) -> Figure:
    """Raises SettingError for an unknown name, with the nearest known."""
    known = figures()
    if name not in known:
        raise SettingError(
            f"the gallery has no figure {name!r}; {nearest(name, known)} ravine gallery --list names all."
        )
    return known[name]
