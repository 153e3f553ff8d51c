"""Pieces of a card. Text goes in as it is and comes out escaped; what is HTML already is of the type `Markup`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

__all__ = ["COLOURS", "Markup", "badge", "card", "details", "paragraph", "shown", "table"]

COLOURS = {"pass": "#0a8f66", "warn": "#b97700", "fail": "#d05a00", "quiet": "#7b8490", "line": "#2a87c8"}
"""Each has a contrast of 3 or more on white and on black, and none says anything that is not said in words beside it."""

LONG = 160
"""Letters of a value that are shown."""

CELLS = {
    "td": Markup('<td style="padding: 1px 12px 1px 0; background: none; text-align: {}; white-space: {}">{}</td>'),
    "th": Markup('<th style="padding: 1px 12px 1px 0; background: none; text-align: {}; white-space: {}">{}</th>'),
}

FONT = "font: 13px/1.45 system-ui, sans-serif"


def card(title: str | Markup, parts: Iterable[Markup]) -> str:
    """A box with a title."""
    box = f"{FONT}; max-width: 60em; border-left: 3px solid {COLOURS['quiet']}; padding: 2px 0 2px 10px; margin: 4px 0"
    inside = Markup().join(parts)
    return str(Markup('<div style="{}"><div style="font-weight: 600">{}</div>{}</div>').format(box, title, inside))


def badge(word: str, kind: str) -> Markup:
    """A word in one of COLOURS, such as `pass`."""
    style = f"color: {COLOURS[kind]}; border: 1px solid; border-radius: 3px; padding: 0 5px; font-weight: 600"
    return Markup('<span style="{}">{}</span>').format(style, word)


def paragraph(*parts: str | Markup, quiet: bool = False) -> Markup:
    """A line of text and badges."""
    style = "margin: 3px 0; overflow-wrap: anywhere" + ("; opacity: .75" if quiet else "")
    return Markup('<div style="{}">{}</div>').format(style, Markup(" ").join(escape(part) for part in parts))


def details(summary: str, parts: Iterable[Markup]) -> Markup:
    """Something that opens when it is asked for; nothing where there are no parts."""
    inside = Markup().join(parts)
    look = Markup(
        '<details style="margin: 3px 0"><summary style="cursor: pointer; opacity: .75">{}</summary>{}</details>'
    )
    return look.format(summary, inside) if inside else Markup()


def table(rows: Sequence[Sequence[Any]], head: Sequence[str] = ()) -> Markup:
    """Rows of values; numbers to the right."""
    if not rows:
        return Markup()
    lines = [_row(row, "td") for row in rows]
    if head:
        lines.insert(0, _row(head, "th"))
    return Markup('<table style="border-collapse: collapse; margin: 3px 0; font-size: 12px">{}</table>').format(
        Markup().join(lines)
    )


def _row(cells: Sequence[Any], tag: str) -> Markup:
    return Markup("<tr>{}</tr>").format(Markup().join(_cell(cell, tag) for cell in cells))


def _cell(cell: Any, tag: str) -> Markup:
    side, wrap = ("right", "nowrap") if isinstance(cell, int | float) else ("left", "normal")
    return CELLS[tag].format(side, wrap, shown(cell))


def shown(value: Any) -> str | Markup:
    """A value in a few letters: numbers to four digits, lists and dictionaries cut short."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        text = ", ".join(f"{name}: {shown(part)}" for name, part in value.items())
    elif isinstance(value, list | tuple):
        text = ", ".join(str(shown(part)) for part in value)
    else:
        text = str(value)
    return text if len(text) <= LONG else f"{text[: LONG - 1]}\u2026"
