"""What MkDocs asks while it builds: the pages that come from the code, the figures of the gallery, and whether every name is documented."""

from __future__ import annotations

import fnmatch
import html
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

import command_pages
import reference_pages
import rule_pages
import schedule_pages
import surface_pages
from ravine.reports.gallery import write_gallery
from ravine.reports.landscape.shades import partners
from ravine.reports.theme import DARK, LIGHT, css_variables
from ravine.rules import METHODS, RULES

ROOT = Path(__file__).resolve().parents[1]
WRITERS = (rule_pages, schedule_pages, surface_pages, reference_pages, command_pages)
NAMES = {kind.__name__: name for name, kind in {**RULES, **METHODS}.items()}
FIGURE = re.compile(r"^<!-- figure: ([a-z0-9-]+) -->$", re.MULTILINE)


@cache
def generated() -> dict[str, str]:
    """Every page that comes from the code, by its place under docs/."""
    return {place: text for writer in WRITERS for place, text in writer.pages().items()}


def on_config(config: MkDocsConfig) -> None:
    """Fill in the navigation; refuse to build where a public name says nothing of itself."""
    silent = [*reference_pages.undocumented(), *command_pages.undocumented()]
    if silent:
        raise PluginError(f"these public names have no docstring or help, and need one: {', '.join(silent)}")
    config.nav = list(_filled(config.nav, config))  # type: ignore[arg-type]


def _filled(entries: Any, config: MkDocsConfig) -> Iterator[Any]:
    """The entries of a navigation, each `folder/*.md` in place of the pages it stands for."""
    for entry in entries:
        if isinstance(entry, str) and "*" in entry:
            yield from _pages_like(entry, config)
        elif isinstance(entry, dict):
            yield {
                title: list(_filled(inner, config)) if isinstance(inner, list) else inner
                for title, inner in entry.items()
            }
        else:
            yield entry


def _pages_like(pattern: str, config: MkDocsConfig) -> list[str]:
    """Generated pages in the order they are written; written ones by name. A folder's own index comes first or is named apart."""
    found = fnmatch.filter(generated(), pattern)
    if found:
        return found
    paths = sorted(Path(config.docs_dir).glob(pattern))
    return [
        path.relative_to(config.docs_dir).as_posix() for path in paths if path.name not in ("README.md", "index.md")
    ]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that come from the code, the colours of figures, and the gallery beside them."""
    for place, text in generated().items():
        files.append(File.generated(config, place, content=text))
    files.append(File.generated(config, "assets/colours.css", content=_colours()))
    for path in sorted(_gallery(config).rglob("*")):
        if path.is_file():
            place = f"gallery/{path.relative_to(_gallery(config)).as_posix()}"
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def _gallery(config: MkDocsConfig) -> Path:
    """The folder of the gallery, drawn first where it is missing."""
    folder = ROOT / config.extra["gallery"]
    if not (folder / "index.html").is_file():
        write_gallery(folder)
    return folder


def _colours() -> str:
    """The variables that figures take their colours from, in Material's two schemes."""
    return f":root {{ {css_variables(LIGHT)} }}\n[data-md-color-scheme=slate] {{ {css_variables(DARK)} }}\n"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs gives it
    """Figures of the gallery in place of the comments that ask for them; in the table of rules each name leads to its page."""
    if page.file.src_uri == "rules.md":
        return re.sub(
            r"^\| `(\w+)` ", lambda row: f"| [`{row[1]}`](rules/{NAMES[row[1]]}.md) ", markdown, flags=re.MULTILINE
        )
    if not FIGURE.search(markdown):
        return markdown
    here = get_relative_url("gallery/", page.url).rstrip("/")
    shown = FIGURE.sub(lambda asked: _figure(asked[1], here, config), markdown)
    scripts = "".join(
        f'<script src="{here}/{name}"></script>' for name in ("plotly.js", "gallery.js", "../assets/figures.js")
    )
    return f"{shown}\n\n<div>{scripts}<script>drawFigures({json.dumps(partners())});</script></div>\n"


def _figure(name: str, here: str, config: MkDocsConfig) -> str:
    """One figure, as its own page of the gallery has it. Raises PluginError where the gallery has none of this name."""
    path = _gallery(config) / f"{name}.html"
    if not path.is_file():
        raise PluginError(f"the gallery has no figure {name!r}: `ravine gallery --list` names all.")
    found = re.search(r"<figure>.*</figure>", path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    lines = [line for line in found[0].replace('data-source="', f'data-source="{here}/').splitlines() if line.strip()]
    link = f'<a href="{here}/{html.escape(name)}.html">by itself</a>'
    body = "\n".join(lines).replace("<figure>", '<figure class="drawn">', 1)
    return body.replace("</figcaption>", f'<p class="quiet">{link}</p></figcaption>', 1)
