"""The site as a reader meets it: built strictly, complete, at home on a phone and in the dark, and fetching nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.reports.browsing import ARGUMENTS, CHROMIUM, needs_chromium


def test_the_inventory_of_the_reference_has_every_public_name(site: Path) -> None:
    from mkdocstrings import Inventory

    import reference_pages

    with (site / "objects.inv").open("rb") as file:
        known = set(Inventory.parse_sphinx(file))
    public = [(module, name) for module in reference_pages.modules() for name in reference_pages.names(module)]
    wanted = [reference_pages.path_of(module, name) for module, name in public]
    assert [name for name in wanted if name not in known] == []


def test_no_page_asks_another_place_for_anything(site: Path) -> None:
    asked = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=["'](https?:)?//""")
    assert [path.name for path in site.rglob("*.html") if asked.search(path.read_text(encoding="utf-8"))] == []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_words: object) -> None: ...


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


PAGES = (
    "index.html",
    "recipe/initial-loss.html",
    "choosing/rule.html",
    "theory/quadratics.html",
    "rules.html",
    "rules/adam.html",
    "schedules/plateau.html",
    "surfaces/rosenbrock.html",
    "faults/index.html",
    "faults/lr-too-high.html",
    "how-it-works.html",
    "compared.html",
    "reference/rules.html",
    "reference/command-line.html",
)


@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_the_pages_complain_of_nothing_and_do_not_scroll_sideways(
    browser: Browser, served: str, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda words: said.append(words.text) if words.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda asked: None if asked.url.startswith((served, "data:", "blob:")) else said.append(asked.url)
    )
    for name in PAGES:
        page.goto(f"{served}/{name}")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
        assert page.evaluate("document.body.dataset.mdColorScheme") == {"light": "default", "dark": "slate"}[scheme], (
            name
        )
        assert said == [], name
    page.close()


@needs_chromium
def test_a_figure_is_drawn_and_follows_the_readers_choice_of_scheme(browser: Browser, served: str) -> None:
    page = browser.new_page(color_scheme="light")
    page.goto(f"{served}/theory/quadratics.html")
    page.locator(".plot").first.scroll_into_view_if_needed()
    page.wait_for_selector(".plot[data-drawn=light]", timeout=20_000)
    page.evaluate("document.body.dataset.mdColorScheme = 'slate'")
    page.wait_for_selector(".plot[data-drawn=dark]", timeout=20_000)
    page.close()


@needs_chromium
def test_the_search_finds_a_rule(browser: Browser, served: str) -> None:
    page = browser.new_page()
    page.goto(f"{served}/index.html")
    page.locator("input[name=query]").click()
    page.locator("input[name=query]").fill("Lion")
    page.wait_for_selector(".md-search-result__item", timeout=20_000)
    page.close()


def test_examples_that_are_files_stand_in_the_page_whole(site: Path) -> None:
    page = (site / "loops.html").read_text(encoding="utf-8")
    assert [
        word for word in ("LightningModule", "TrainingArguments", "create_study", "Monitor") if word not in page
    ] == []
    assert "--8" not in page
