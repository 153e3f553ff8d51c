"""What the gallery is made of: chapters of figures, each with its caption and the command that makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ravine.reports.landscape import Arrangement, Asked, Drawing, draw, walked

__all__ = ["Chapter", "Figure", "landscape"]


@dataclass(frozen=True)
class Figure:
    """One figure by its name; `draw` computes and draws it. `command` makes it; the gallery itself does when empty."""

    name: str  # letters, digits and hyphens
    title: str
    caption: str  # what to see in it
    draw: Callable[[], Drawing]
    command: str = ""

    @property
    def again(self) -> str:
        """The command that draws this figure."""
        return self.command or f"ravine gallery --only {self.name} --out gallery"


@dataclass(frozen=True)
class Chapter:
    """A part of the story: what it is about, and its figures in order."""

    anchor: str
    title: str
    text: tuple[str, ...]  # paragraphs
    figures: tuple[Figure, ...] = field(default=())


def landscape(
    name: str,
    title: str,
    caption: str,
    surface: str,
    rules: str,
    lrs: tuple[float, ...],
    *,
    starts: tuple[tuple[float, ...], ...] = ((4.0, 0.5),),
    steps: int = 100,
    arrangement: Arrangement = "rates",
    **settings: object,
) -> Figure:
    """A figure that `ravine landscape` makes. rules: names apart by spaces."""
    asked = Asked(surface, tuple(rules.split()), lrs, settings, starts, steps, arrangement)
    return Figure(name, title, caption, lambda: draw(walked(asked)), asked.command(f"{name}.html"))
