"""Progress in a notebook: one card that is drawn over again in its place, twice a second at most, so that no cell is flooded."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from markupsafe import Markup

from ravine.notebook.html import COLOURS, badge, card, paragraph

__all__ = ["Live", "live_here"]

PAUSE = 0.5
"""Seconds between two drawings of a step under way."""


class Told(Protocol):
    """What a verdict is to those who only show it."""

    @property
    def step(self) -> str: ...
    @property
    def status(self) -> Any: ...
    @property
    def summary(self) -> str: ...
    @property
    def seconds(self) -> float: ...


class Live:
    """A watcher (`watch=` of `ravine.tune` and the others) that shows a card in the output of the cell that runs.

    It is what they take by themselves in a notebook; `watch=ravine.recipe.session.Silent()` keeps them quiet.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: list[Markup] = []  # of what is over
        self._step, self._share, self._text = "", 0.0, ""
        self._drawn = -PAUSE
        self._place: Any = None  # where the card stands

    def begin(self, step: str) -> None:
        """A step begins."""
        self._step, self._share, self._text = step, 0.0, ""
        self._draw()

    def advance(self, share: float, text: str = "") -> None:
        """A step is so far; drawn when the last drawing is some time ago."""
        self._share, self._text = share, text
        if self._clock() - self._drawn >= PAUSE:
            self._draw()

    def end(self, verdict: Told) -> None:
        """A step is over."""
        self._step = ""
        said = f"{verdict.step} ({verdict.seconds:.1f} s): {verdict.summary}"
        self._lines.append(paragraph(badge(verdict.status, verdict.status), said))
        self._draw()

    def note(self, text: str) -> None:
        """Something worth a line."""
        self._lines.append(paragraph(text, quiet=True))
        self._draw()

    def close(self) -> None:
        """All is done: a step that has no verdict (the diagnosis) is no longer under way."""
        self._step = ""
        self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        self._drawn = self._clock()
        now = [_bar(self._share), paragraph(self._text, quiet=True)] if self._step else []
        html = HTML(card(self._step or "ravine", [*self._lines, *now]))  # type: ignore[no-untyped-call]
        if self._place is None:
            self._place = display(html, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._place.update(html)


def live_here() -> Live | None:
    """One for the notebook that this runs in; None elsewhere, in a terminal's IPython too."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return Live() if type(shell).__name__ == "ZMQInteractiveShell" else None


def _bar(share: float) -> Markup:
    done = min(max(share, 0.0), 1.0)
    return Markup(
        '<div style="width: 320px; height: 6px; border: 1px solid {}; border-radius: 3px" role="progressbar" aria-valuenow="{:.0f}">'
        '<div style="width: {:.1f}%; height: 100%; background: {}"></div></div>'
    ).format(COLOURS["quiet"], 100 * done, 100 * done, COLOURS["line"])
