"""The HTML of one landscape: the figure, its controls and its table, with everything needed written inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import plotly.io
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ravine.reports.landscape.arrange import draw
from ravine.reports.landscape.asked import Walked
from ravine.reports.landscape.drawing import Drawing
from ravine.reports.landscape.endings import endings, theory_sentences
from ravine.reports.landscape.shades import partners
from ravine.reports.page import TEMPLATES, environment, in_script, plain, policy
from ravine.reports.theme import DARK, FONT, LIGHT, css_variables

__all__ = ["caption", "figure_json", "landscape_page", "look"]


def landscape_page(walked: Walked, out: str = "paths.html") -> str:
    """The whole page as text. out: the file that the command on the page writes."""
    drawing = draw(walked)
    scripts = [plain(get_plotlyjs()), *(plain(read(name)) for name in ("drawing.js", "landscape.js"))]
    asked = walked.asked
    return (
        environment()
        .get_template("landscape.html.j2")
        .render(
            title=f"{', '.join(asked.rules)} on {walked.surface.name}",
            subtitle=f"f = {walked.surface.formula}",
            caption=caption(walked),
            drawing=drawing,
            table=endings(walked),
            theory=theory_sentences(walked),
            command=asked.command(out),
            data=in_script(figure_json(drawing)),
            colours=in_script(json.dumps(partners())),
            library=Markup(scripts[0]),  # noqa: S704 - ours, no foreign text
            script=Markup(scripts[1]),  # noqa: S704
            begin=Markup(scripts[2]),  # noqa: S704
            policy=policy(scripts),
            **look(),
        )
    )


def look() -> Mapping[str, Any]:
    """What the head of every page with drawings needs."""
    return {
        "light": Markup(css_variables(LIGHT)),  # noqa: S704 - ours, no foreign text
        "dark": Markup(css_variables(DARK)),  # noqa: S704
        "font": Markup(FONT),  # noqa: S704
        "styles": Markup(read("report.css") + read("drawing.css")),  # noqa: S704
    }


def read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def figure_json(drawing: Drawing) -> str:
    """Data, layout and what moves, as JSON; the heights of a surface are written once for all panels over it."""
    figure = json.loads(plotly.io.to_json(drawing.figure, validate=False))
    for trace in figure["data"]:
        if "like" in (trace.get("meta") or {}):
            del trace["z"]
    return json.dumps({**figure, "walk": drawing.walk}, separators=(",", ":"))


def caption(walked: Walked) -> str:
    """What to see: what the marks are."""
    moved = walked.asked.arrangement != "rates" and len(walked.asked.lrs) > 1
    slider = " The slider shows one learning rate by itself." if moved else ""
    rings = " Rings are losses predicted from the eigenvalues." if walked.surface.quadratic is not None else ""
    return (
        "A ring marks the start, a star a minimum, and each mark along a path a step (of a long path, every so many). "
        f"Play walks the paths step by step.{slider}{rings}"
    )
