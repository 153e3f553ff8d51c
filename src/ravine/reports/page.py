"""The HTML of the report: the sections through one Jinja template, everything it needs written inside it.

Three fences keep foreign text from being obeyed: Jinja escapes all of it, figures are handed over as JSON whose
`<` cannot close a script, and the page's own policy lets run only the two scripts whose hashes it names, and
lets nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import plotly.io
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ravine.reports.figures.picture import Picture
from ravine.reports.folder import Run
from ravine.reports.sections import badges, sections, summary_facts
from ravine.reports.theme import DARK, FONT, LIGHT, css_variables, dark_partners

__all__ = ["render"]

TEMPLATES = Path(__file__).parent / "templates"


def render(run: Run) -> str:
    """The whole page as text."""
    parts = sections(run)
    library, script = plain(get_plotlyjs()), plain((TEMPLATES / "report.js").read_text(encoding="utf-8"))
    template = environment().get_template("report.html.j2")
    return template.render(
        run=run,
        title=f"{run.config.data.name} with {run.config.model.name or 'a model of your own'}",
        badges=badges(run),
        facts=summary_facts(run),
        ending=ending(run),
        sections=parts,
        figures=figure_data([picture for part in parts for picture in part.pictures]),
        colours=in_script(json.dumps(dark_partners())),
        light=Markup(css_variables(LIGHT)),  # noqa: S704 - ours, no foreign text
        dark=Markup(css_variables(DARK)),  # noqa: S704
        font=Markup(FONT),  # noqa: S704
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704
        library=Markup(library),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=policy([library, script]),
    )


def environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def ending(run: Run) -> str:
    """One sentence when the run has no best model: where it stopped, or that it has not got further."""
    if run.result is not None and run.result.best is not None:
        return ""
    if not run.steps:
        return "No step and no best model is recorded yet."
    last = run.steps[-1]
    if last.record.status == "fail":
        return f"Step {last.number} failed and no best model is recorded: see its advice below."
    return f"The record ends after step {last.number}; no best model is recorded."


def figure_data(pictures: Sequence[Picture]) -> list[tuple[str, Markup]]:
    """(name, JSON) of each figure, the JSON fit to stand inside a script element."""
    names = [picture.name for picture in pictures]
    assert len(set(names)) == len(names), f"two pictures share a name: {names}"
    return [(picture.name, in_script(plotly.io.to_json(picture.figure, validate=False))) for picture in pictures]


def in_script(text: str) -> Markup:
    """JSON with `<`, `>` and `&` written as escapes: the same value, and no tag for the HTML parser to find."""
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - no character is left that HTML reads


def plain(script: str) -> str:
    """A script as the browser will see it, so that its hash holds: line ends are \\n."""
    text = script.replace("\r\n", "\n").replace("\r", "\n")
    assert "</script" not in text.lower(), "a script of ours would end early inside the page"
    return text


def policy(scripts: Sequence[str]) -> str:
    """The content security policy: these scripts, inline styles, pictures made here; no fetching.

    Parallel coordinates build their WebGL calls with `new Function`, which needs 'unsafe-eval'.
    """
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
