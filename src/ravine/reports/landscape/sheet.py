"""A figure of several panels, laid out in pixels from the top, in the style of the report's figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from ravine.reports.figures.picture import blank
from ravine.reports.theme import LIGHT

__all__ = ["Place", "Sheet"]

TITLE = 28  # pixels above a panel, for its title
BELOW = 46  # pixels below a panel, for its ticks and the name of its axis
BETWEEN = 0.07  # gap between two panels in a row, as a share of the width
LEGEND = 30  # pixels above all panels


@dataclass(frozen=True)
class Place:
    """One panel: how its axes are called in a trace and in the layout."""

    number: int

    @property
    def axes(self) -> dict[str, str]:
        """For a trace."""
        end = "" if self.number == 1 else str(self.number)
        return {"xaxis": f"x{end}", "yaxis": f"y{end}"}

    @property
    def names(self) -> tuple[str, str]:
        """In the layout."""
        end = "" if self.number == 1 else str(self.number)
        return f"xaxis{end}", f"yaxis{end}"


@dataclass
class Sheet:
    """Rows of panels. rows: (height in pixels, number of columns), from the top."""

    rows: Sequence[tuple[int, int]]
    legend: bool = True
    right: int = 16  # pixels for a colour bar
    traces: list[dict[str, Any]] = field(default_factory=list)
    _layout: dict[str, Any] = field(default_factory=dict)
    _annotations: list[dict[str, Any]] = field(default_factory=list)
    _cells: int = 0

    @property
    def inner(self) -> int:
        """Pixels from the top of the first title to the bottom of the last panel."""
        return sum(height + TITLE for height, _ in self.rows) + BELOW * (len(self.rows) - 1)

    def cell(self, row: int, column: int, title: str, x: str, y: str, *, colour: str = LIGHT.ink) -> Place:
        """A panel at its row and column; title and names of its axes are safe text."""
        self._cells += 1
        place = Place(self._cells)
        height, columns = self.rows[row]
        top = sum(h + TITLE + BELOW for h, _ in self.rows[:row]) + TITLE
        width = (1 - BETWEEN * (columns - 1)) / columns
        left = column * (width + BETWEEN)
        across = [left, min(left + width, 1.0)]
        up = [max(1 - (top + height) / self.inner, 0.0), 1 - top / self.inner]
        like = blank(x, y).layout
        x_name, y_name = place.names
        self._layout[x_name] = {**like.xaxis.to_plotly_json(), "domain": across, "anchor": place.axes["yaxis"]}
        self._layout[y_name] = {**like.yaxis.to_plotly_json(), "domain": up, "anchor": place.axes["xaxis"]}
        self._layout[y_name]["automargin"] = False  # every layer of a page has the same margins
        self._annotations.append(
            {
                "text": title,
                "xref": "paper",
                "yref": "paper",
                "x": across[0],
                "y": up[1],
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 13.5, "color": colour},
            }
        )
        return place

    def add(self, place: Place, trace: dict[str, Any]) -> int:
        """Draw a trace in a panel; its number among the traces."""
        self.traces.append({**trace, **place.axes})
        return len(self.traces) - 1

    def axis(self, place: Place, which: str, **more: Any) -> None:
        """More of the axis "x" or "y" of a panel."""
        self._layout[place.names["xy".index(which)]].update(more)

    def figure(self, **more: Any) -> go.Figure:
        top = 10 + (LEGEND if self.legend else 0)
        drawn = blank(height=self.inner + top + BELOW)
        drawn.update_layout(
            **self._layout,
            annotations=self._annotations,
            margin={"l": 62, "r": self.right, "t": top, "b": BELOW, "autoexpand": False},
            legend={"y": 1.0 + 4 / self.inner, "itemsizing": "constant"},
            **more,
        )
        drawn.add_traces(self.traces)
        return drawn
