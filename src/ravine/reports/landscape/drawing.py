"""Paths over the level lines of their surface, and the losses along them: one figure, and what a page may move in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from ravine.errors import SettingError
from ravine.landscapes import Path, Surface
from ravine.reports.figures.axes import decade_ticks
from ravine.reports.landscape.contours import Window, colours, ground, level_lines, minima_marks
from ravine.reports.landscape.rates import predicted_losses
from ravine.reports.landscape.shades import Stroke
from ravine.reports.landscape.sheet import TITLE, Place, Sheet
from ravine.reports.landscape.tracks import as_drawn, left_out, track
from ravine.reports.landscape.window import window_of
from ravine.reports.theme import LIGHT

__all__ = ["Drawing", "Line", "Panel", "drawn_panels"]

COLUMNS = 3
WIDTH = 900  # pixels across that heights are chosen for
TALLEST, SHORTEST = 460, 190
LOSS_HEIGHT = 220
DECADES = 14  # of a loss axis, below the first loss; rounding is not worth the room
RINGS = 9  # predicted losses that are marked on a curve


@dataclass(frozen=True)
class Drawing:
    """A figure; `walk` says which traces are paths, at which steps and rates, for the controls of a page."""

    figure: go.Figure
    walk: dict[str, Any] | None = None
    note: str = ""  # what is not drawn


@dataclass(frozen=True, eq=False)
class Line:
    """One path as it is drawn. rate: its place among the slider's stops; None is drawn at all of them."""

    path: Path
    name: str  # in the legend; safe text
    stroke: Stroke
    rate: int | None = None
    steps: int | None = None  # drawn up to this step; all when None


@dataclass(frozen=True)
class Panel:
    """Some paths over one view of the surface."""

    title: str  # safe text
    lines: Sequence[Line]
    colour: str = LIGHT.ink  # of the title


def drawn_panels(
    surface: Surface,
    panels: Sequence[Panel],
    slider: Sequence[str] = (),
    *,
    losses_apart: bool = False,
    losses: bool = True,
    window: Window | None = None,
) -> Drawing:
    """Panels side by side, and below them the losses: of all in one panel, or of each in its own.

    slider: the learning rates that a page's slider stops at. window: what is seen; chosen by the paths when None.
    """
    if surface.dimension != 2:
        raise SettingError(
            f"{surface.name} has {surface.dimension} dimensions; a picture needs 2: write --out paths.json, or leave --out away."
        )
    painter = _Painter(surface, panels, window, losses_apart, losses)
    across = painter.columns
    for k, panel in enumerate(panels):
        row, column = divmod(k, across)
        painter.view(row * (2 if losses_apart else 1), column, panel)
        if losses_apart:
            painter.losses(2 * row + 1, column, panel.lines)
    if losses and not losses_apart:
        painter.losses(len(painter.sheet.rows) - 1, 0, painter.lines)
    return painter.drawing(slider)


class _Painter:
    """The sheet while it is painted, and what of it moves."""

    def __init__(
        self, surface: Surface, panels: Sequence[Panel], window: Window | None, apart: bool, losses: bool
    ) -> None:
        self.surface = surface
        self.lines = [line for panel in panels for line in panel.lines]
        self.window = window or window_of(surface, [line.path for line in self.lines])
        self.ground = ground(surface, self.window)
        self.columns = min(len(panels), 2 if len(panels) == 4 else COLUMNS)
        high, views = self._height(), -(-len(panels) // self.columns)
        rows = [(high, self.columns), *([(LOSS_HEIGHT, self.columns)] * apart)] * views
        rows += [(LOSS_HEIGHT, 1)] * (losses and not apart)
        self.sheet = Sheet(rows, legend=bool(self.lines), right=84)
        self.views = 1 if apart else views  # beside which the colour bar stands
        self.tracks = {id(line): track(line.path, self.window, line.steps) for line in self.lines}
        self.moved: dict[int, dict[str, Any]] = {}
        self.named: set[str] = set()

    def _height(self) -> int:
        """Pixels of a view in which x and y have nearly one scale, within what can be read and fits on a screen."""
        left, right, bottom, top = self.window
        natural = WIDTH / self.columns * (top - bottom) / (right - left)
        return round(min(max(natural, SHORTEST if self.columns > 1 else 280), TALLEST))

    def view(self, row: int, column: int, panel: Panel) -> None:
        """Level lines, minima, and paths over them."""
        left, right, bottom, top = self.window
        names = "x" if row >= self.views - 1 else "", "y" if column == 0 else ""
        place = self.sheet.cell(row, column, panel.title, *names, colour=panel.colour)
        for which, span in (("x", [left, right]), ("y", [bottom, top])):
            self.sheet.axis(place, which, range=span, showgrid=False, zeroline=False, nticks=7)
        lines = level_lines(self.ground)
        self.sheet.add(place, lines if not self.sheet.traces else {**lines, "meta": {"like": 0}})
        if self.surface.minima:
            self.sheet.add(place, minima_marks(self.surface))
        for line in reversed(panel.lines):  # the larger rates, which reach further, lie below
            self._path(place, line)
        starts = {line.path.start for line in panel.lines}
        if starts:
            self.sheet.add(place, _starts(sorted(starts)))

    def _path(self, place: Place, line: Line) -> None:
        one, hover = self.tracks[id(line)], f"{line.name}<br>step %{{customdata[0]}}: f = %{{customdata[1]:.4g}}"
        sizes = [4.5 if step % one.marks == 0 and len(one.steps) > 1 else 0.0 for step in one.steps.tolist()]
        x, y = as_drawn(_clipped(one.x, self.window[:2])), as_drawn(_clipped(one.y, self.window[2:]))
        look = {"color": line.stroke.colour, "symbol": line.stroke.symbol, "line": {"width": 0}}
        common = {"type": "scatter", "legendgroup": line.name, "legendrank": 1 + self.lines.index(line)}
        whole = self.sheet.add(
            place,
            {
                **common,
                "x": x,
                "y": y,
                "customdata": list(zip(one.steps.tolist(), as_drawn(one.loss), strict=True)),
                "mode": "lines+markers",
                "line": {"color": line.stroke.colour, "dash": line.stroke.dash, "width": 1.6},
                "marker": {**look, "size": sizes, "opacity": 0.85},
                "name": line.name,
                "showlegend": line.name not in self.named,
                "hovertemplate": hover + "<extra></extra>",
            },
        )
        head = self.sheet.add(
            place,
            {
                "type": "scatter",
                "x": x[-1:],
                "y": y[-1:],
                "mode": "markers",
                "legendgroup": line.name,
                "marker": {**look, "size": 10, "line": {"width": 1.5, "color": LIGHT.card}},
                "hoverinfo": "skip",
                "showlegend": False,
            },
        )
        self.named.add(line.name)
        self.moved[id(line)] = {"line": whole, "head": head, "rate": line.rate, "steps": one.steps.tolist()}

    def losses(self, row: int, column: int, lines: Sequence[Line]) -> None:
        """Loss against step of some paths; rings where the theory of quadratics puts it."""
        above = self.surface.minimum not in (None, 0.0)
        shown = [self._above(line) for line in lines]
        span = _loss_span([self._above(line) for line in self.lines]) if self.surface.minimum is not None else None
        title = "f - minimum" if above else "f"
        place = self.sheet.cell(row, column, "Loss against step", "step", title if column == 0 else "")
        for line, values in zip(lines, shown, strict=True):
            self._loss(place, line, np.where(values > 0, values, np.nan) if span else values)
        self._rings(place, lines, span)
        if span:
            places, texts = decade_ticks(*span, most=6)
            tall = [math.log10(span[0]), math.log10(span[1])]
            self.sheet.axis(
                place, "y", type="log", range=tall, tickvals=[10.0**place for place in places], ticktext=texts
            )
        elif self.surface.minimum is None and not self.ground.logarithmic:
            self.sheet.axis(place, "y", range=_seen(shown, self.ground.span))
        last = max(int(one.loss_steps[-1]) for one in self.tracks.values()) or 1
        self.sheet.axis(place, "x", range=[-0.01 * last, 1.01 * last], tickformat=",")

    def _above(self, line: Line) -> NDArray[np.float64]:
        return self.tracks[id(line)].losses - (self.surface.minimum or 0.0)

    def _loss(self, place: Place, line: Line, values: NDArray[np.float64]) -> None:
        one = self.tracks[id(line)]
        steps, heights = one.loss_steps.tolist(), as_drawn(values)
        common = {"type": "scatter", "legendgroup": line.name, "showlegend": False}
        curve = self.sheet.add(
            place,
            {
                **common,
                "x": steps,
                "y": heights,
                "mode": "lines",
                "line": {"color": line.stroke.colour, "dash": line.stroke.dash, "width": 2},
                "name": line.name,
                "hovertemplate": f"{line.name}, step %{{x}}: %{{y:.4g}}<extra></extra>",
            },
        )
        dot = self.sheet.add(
            place,
            {
                **common,
                "x": steps[-1:],
                "y": heights[-1:],
                "mode": "markers",
                "marker": {"color": line.stroke.colour, "symbol": line.stroke.symbol, "size": 9},
                "hoverinfo": "skip",
            },
        )
        self.moved[id(line)] |= {"curve": curve, "dot": dot}

    def _rings(self, place: Place, lines: Sequence[Line], span: tuple[float, float] | None) -> None:
        """One trace for the predictions of all paths of a quadratic, each ring in the colour of its path."""
        x: list[float] = []
        y: list[float | None] = []
        tones: list[str] = []
        for k, line in enumerate(lines):
            predicted = predicted_losses(self.surface, line.path)
            if predicted is None or span is None:
                continue
            inside = [r for r in _ring_rows(len(predicted), k, len(lines)) if span[0] <= predicted[r] <= span[1]]
            x += [float(row * line.path.every) for row in inside]
            y += as_drawn(predicted[inside])
            tones += [line.stroke.colour] * len(inside)
        if x:
            self.sheet.add(
                place,
                {
                    "type": "scatter",
                    "x": x,
                    "y": y,
                    "mode": "markers",
                    "name": "predicted by the formula",
                    "legendgroup": "predicted",
                    "marker": {"symbol": "circle-open", "size": 9, "color": tones, "line": {"width": 1.5}},
                    "hovertemplate": "predicted, step %{x}: %{y:.4g}<extra></extra>",
                    "showlegend": "predicted" not in self.named,
                },
            )
            self.named.add("predicted")

    def drawing(self, slider: Sequence[str]) -> Drawing:
        high = self.sheet.rows[0][0]
        length = (high + 0.0) / self.sheet.inner
        figure = self.sheet.figure(coloraxis=colours(self.ground, length=length, y=1.0 - TITLE / self.sheet.inner))
        steps = max((int(one.loss_steps[-1]) for one in self.tracks.values()), default=0)
        paths = [self.moved[id(line)] for line in self.lines]
        walk = {"steps": steps, "rates": list(slider), "paths": paths} if steps else None
        return Drawing(figure, walk, left_out(list(self.tracks.values())))


def _ring_rows(count: int, k: int, lines: int) -> list[int]:
    """RINGS of the rows, or all of a short path; those of the k-th of some lines stand between those of the others."""
    gap = max(1.0, count / RINGS)
    first = gap * (k + 0.5) / lines if count > RINGS else 0.0
    return sorted({min(int(first + gap * ring), count - 1) for ring in range(RINGS)})


def _clipped(values: NDArray[np.float64], span: tuple[float, float] | Sequence[float]) -> NDArray[np.float64]:
    """A path that runs far out of the window ends a hundred windows away: browsers draw no further."""
    far = 100 * (span[1] - span[0])
    return np.clip(values, span[0] - far, span[1] + far)


def _loss_span(shown: Sequence[NDArray[np.float64]]) -> tuple[float, float] | None:
    """From the smallest to the largest loss that is worth showing; None where a logarithm cannot show them."""
    first = max(float(values[0]) for values in shown)
    every = np.concatenate([values[np.isfinite(values)] for values in shown])
    positive = every[every > 0]
    if first <= 0 or bool((every < 0).any()) or not len(positive):
        return None
    low = max(float(positive.min()), first * 10.0**-DECADES)
    high = min(float(positive.max()), first * 1e4)
    return (low / 1.5, high * 1.5)


def _seen(shown: Sequence[NDArray[np.float64]], heights: tuple[float, float]) -> list[float] | None:
    """The losses up to the heights of the window: a path that falls for ever would flatten all others."""
    every = np.concatenate(shown)
    inside = every[(every >= heights[0]) & (every <= heights[1])]
    if not len(inside):
        return None
    pad = 0.06 * float(inside.max() - inside.min()) or 1.0
    return [float(inside.min()) - pad, float(inside.max()) + pad]


def _starts(starts: Sequence[tuple[float, ...]]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [start[0] for start in starts],
        "y": [start[1] for start in starts],
        "mode": "markers",
        "marker": {"symbol": "circle-open", "size": 11, "color": LIGHT.ink, "line": {"width": 2}},
        "hovertemplate": "start (%{x:.4g}, %{y:.4g})<extra></extra>",
        "showlegend": False,
    }
