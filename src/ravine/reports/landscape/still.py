"""A figure as PNG or SVG: drawn by Plotly's kaleido, which drives a Chrome or Chromium that it finds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from ravine.errors import SettingError

__all__ = ["SUFFIXES", "check_still", "still"]

SUFFIXES = (".png", ".svg")
WIDTH = 1000  # pixels
SCALE = 2  # pixels of a PNG for each of the figure's, so that print is sharp


def check_still(out: Path) -> None:
    """Raises SettingError when no picture can be made for want of kaleido: before anything is computed."""
    if importlib.util.find_spec("kaleido") is None:
        raise SettingError(
            f"{out} needs the package kaleido: pip install 'ravine[pictures]', or write --out {out.with_suffix('.html')}."
        )


def still(figure: go.Figure, out: Path) -> bytes:
    """The figure as the bytes of a PNG or an SVG, in the light. Raises SettingError when there is no browser to draw it."""
    check_still(out)
    import kaleido
    from kaleido.errors import ChromeNotFoundError

    options: dict[str, Any] = {
        "format": out.suffix[1:].lower(),
        "width": WIDTH,
        "height": int(figure.layout.height),
        "scale": SCALE if out.suffix == ".png" else 1,
    }
    page = kaleido.PageGenerator(mathjax=False)  # no formula is set, and MathJax would be fetched
    try:
        picture: bytes = kaleido.calc_fig_sync(figure.to_dict(), opts=options, kopts={"page_generator": page})
    except ChromeNotFoundError as error:
        raise SettingError(
            f"{out} is drawn by a browser, and no Chrome or Chromium is found: install chromium (or name one in BROWSER_PATH), "
            f"or write --out {out.with_suffix('.html')}."
        ) from error
    return picture
