"""The report as a reader meets it: opened in headless Chromium, every figure drawn, nothing fetched, nothing obeyed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from ravine.reports import write_report

from .folders import HOSTILE, write_run

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH; CI installs it")

# For each plot: its name, the theme it was drawn in, and the sizes of the marks it holds.
DRAWN = """() => [...document.querySelectorAll('.plot')].map(box => ({
  name: box.id, theme: box.dataset.drawn, width: box.clientWidth,
  marks: [...box.querySelectorAll('.trace path, .trace .point, .heatmaplayer image, canvas')].map(mark => {
    const place = mark.getBoundingClientRect();
    return place.width + place.height;
  }),
  text: box.textContent,
}))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """One page opened, with all that it complained of, asked for or fetched."""

    def __init__(self, browser: Browser, report: Path, theme: str = "light", width: int = 1000) -> None:
        self.complaints: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=theme)
        self.page.on("console", lambda said: self.complain("console", said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complain("error", str(error)))
        self.page.on("dialog", self.refuse)
        self.page.on("request", lambda asked: None if asked.url == report.as_uri() else self.fetched(asked.url))
        self.page.goto(report.as_uri())
        self.wait()

    def complain(self, kind: str, text: str) -> None:
        self.complaints.append(f"{kind}: {text}")

    def refuse(self, dialog) -> None:
        self.complain("dialog", dialog.message)
        dialog.dismiss()

    def fetched(self, url: str) -> None:
        if not url.startswith(("data:", "blob:")):
            self.complain("request", url)

    def wait(self, theme: str = "") -> None:
        self.page.wait_for_function(
            "theme => [...document.querySelectorAll('.plot')].every(b => b.dataset.drawn && (!theme || b.dataset.drawn === theme))",
            arg=theme,
            timeout=20_000,
        )

    def plots(self) -> dict[str, dict]:
        return {plot["name"]: plot for plot in self.page.evaluate(DRAWN)}

    def scrolls_sideways(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


STEPS_1_TO_3 = {"initial-loss", "overfit-loss", "overfit-metric", "overfit-rates", "lr-range-0", "lr-range-1"}
SEARCH = {"search-parallel", "search-rates-0", "search-rates-1"}
CURVES = {"curves-loss", "curves-metric", "steps-lr", "steps-grad-norm", "steps-update-ratio", "curves-field"}


def check(visit: Visit, names: set[str], theme: str = "light") -> None:
    plots = visit.plots()
    assert set(plots) == names
    for plot in plots.values():
        assert plot["theme"] == theme
        assert plot["width"] > 0
        assert max(plot["marks"], default=0) > 0, f"{plot['name']} is empty"
    assert not visit.scrolls_sideways()
    assert visit.complaints == []


@pytest.mark.parametrize(("theme", "width"), [("light", 1000), ("dark", 390)])
def test_every_figure_of_a_classification_run_is_drawn(browser, finished, theme, width):
    visit = Visit(browser, write_report(finished), theme, width)
    check(visit, STEPS_1_TO_3 | SEARCH | CURVES | {"confusion", "reliability"}, theme)
    visit.page.close()


def test_every_figure_of_a_regression_run_is_drawn(browser, regression):
    visit = Visit(browser, write_report(regression))
    check(visit, STEPS_1_TO_3 | SEARCH | CURVES | {"predicted"})
    visit.page.close()


def test_every_figure_of_a_real_run_is_drawn(browser, tuned):
    visit = Visit(browser, write_report(tuned))
    drawn = visit.plots().keys() - {"search-rates-1"}  # one optimizer may be all that is left
    assert drawn == STEPS_1_TO_3 | {"search-parallel", "search-rates-0", "confusion", "reliability"} | CURVES
    check(visit, set(visit.plots()))
    visit.page.close()


def test_a_partial_run_follows_the_reader_from_light_to_dark(browser, tmp_path):
    visit = Visit(browser, write_report(write_run(tmp_path / "run", steps=3, results=False)))
    check(visit, STEPS_1_TO_3)
    light = visit.page.evaluate("getComputedStyle(document.querySelector('.plot .bg')).fill")
    visit.page.emulate_media(color_scheme="dark")
    visit.wait("dark")
    assert visit.page.evaluate("getComputedStyle(document.querySelector('.plot .bg')).fill") != light
    check(visit, STEPS_1_TO_3, "dark")
    visit.page.close()


def test_hostile_names_are_shown_and_not_obeyed(browser, tmp_path):
    folder = write_run(
        tmp_path / "<img src=x onerror=alert(1)>?#",
        classes=HOSTILE,
        data="<script>alert(1)</script>",
        activation=HOSTILE[0],
    )
    visit = Visit(browser, write_report(folder), width=390)
    check(visit, STEPS_1_TO_3 | SEARCH | CURVES | {"confusion", "reliability"})
    assert visit.page.evaluate("document.querySelectorAll('img, .plot b, .plot a, iframe').length") == 0
    ticks = visit.plots()["confusion"]["text"]
    assert "<img src=x onerro" in ticks
    assert "&lt;" not in ticks
    visit.page.close()


@pytest.fixture(scope="module")
def small(browser, tmp_path_factory) -> Visit:
    """A report with hostile classes and two figures, open."""
    folder = tmp_path_factory.mktemp("small") / "run"
    return Visit(browser, write_report(write_run(folder, classes=HOSTILE, steps=1)))


def test_a_hover_box_shows_a_class_name_as_it_is(small):
    small.page.locator("#confusion").scroll_into_view_if_needed()
    box = small.page.locator("#confusion .nsewdrag").bounding_box()
    small.page.mouse.move(box["x"] + 0.375 * box["width"], box["y"] + 0.375 * box["height"])  # row and column 2 of 4
    small.page.wait_for_selector("#confusion .hoverlayer text", timeout=5000)
    assert "true <img src=x onerror=alert(1)>" in small.page.locator("#confusion .hoverlayer").text_content()
    assert small.complaints == []


def test_the_pages_own_policy_stops_a_script_that_is_not_ours(small):
    injected = "<img src='data:,' onerror='document.title = 1'>"
    small.page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", injected)
    small.page.wait_for_timeout(200)
    assert small.page.title() != "1"
    assert any("Content Security Policy" in complaint for complaint in small.complaints)
