"""The report as a reader meets it: opened in headless Chromium, every figure drawn, nothing fetched, nothing obeyed."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from ravine.reports import write_report

from .browsing import Visit, needs_chromium
from .folders import HOSTILE, write_run

pytestmark = needs_chromium

# For each plot: its name, the theme it was drawn in, and the sizes of the marks it holds.
DRAWN = """() => [...document.querySelectorAll('.plot')].map(box => ({
  name: box.id, theme: box.dataset.drawn, width: box.clientWidth,
  marks: [...box.querySelectorAll('.trace path, .trace .point, .heatmaplayer image, canvas')].map(mark => {
    const place = mark.getBoundingClientRect();
    return place.width + place.height;
  }),
  text: box.textContent,
}))"""


class Report(Visit):
    """A report, all its figures drawn; it may fetch nothing."""

    def __init__(self, browser: Browser, path: Path, theme: str = "light", width: int = 1000) -> None:
        super().__init__(browser, path, theme, width, home=path.as_uri())
        self.wait()

    def wait(self, theme: str = "") -> None:
        self.page.wait_for_function(
            "theme => [...document.querySelectorAll('.plot')].every(b => b.dataset.drawn && (!theme || b.dataset.drawn === theme))",
            arg=theme,
            timeout=20_000,
        )

    def plots(self) -> dict[str, dict]:
        return {plot["name"]: plot for plot in self.page.evaluate(DRAWN)}


STEPS_1_TO_3 = {"initial-loss", "overfit-loss", "overfit-metric", "overfit-rates", "lr-range-0", "lr-range-1"}
SEARCH = {"search-parallel", "search-rates-0", "search-rates-1"}
LEARNT = {"step-4-importance", "step-4-more-trials", "step-4-grid-random"}
CURVES = {"curves-loss", "curves-metric", "steps-lr", "steps-grad-norm", "steps-update-ratio", "curves-field"}


def check(visit: Report, names: set[str], theme: str = "light") -> None:
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
    visit = Report(browser, write_report(finished), theme, width)
    check(visit, STEPS_1_TO_3 | LEARNT | SEARCH | CURVES | {"confusion", "reliability"}, theme)
    visit.page.close()


def test_every_figure_of_a_regression_run_is_drawn(browser, regression):
    visit = Report(browser, write_report(regression))
    check(visit, STEPS_1_TO_3 | LEARNT | SEARCH | CURVES | {"predicted"})
    visit.page.close()


def test_every_figure_of_a_real_run_is_drawn(browser, tuned):
    visit = Report(browser, write_report(tuned))
    drawn = {
        name for name in visit.plots() if not name.startswith("step-")
    }  # what was learnt hangs on how many trials ran
    drawn -= {"search-rates-1"}  # one optimizer may be all that is left
    assert drawn == STEPS_1_TO_3 | {"search-parallel", "search-rates-0", "confusion", "reliability"} | CURVES
    check(visit, set(visit.plots()))
    visit.page.close()


def test_a_partial_run_follows_the_reader_from_light_to_dark(browser, tmp_path):
    visit = Report(browser, write_report(write_run(tmp_path / "run", steps=3, results=False)))
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
    visit = Report(browser, write_report(folder), width=390)
    check(visit, STEPS_1_TO_3 | LEARNT | SEARCH | CURVES | {"confusion", "reliability"})
    assert visit.page.evaluate("document.querySelectorAll('img, .plot b, .plot a, iframe').length") == 0
    ticks = visit.plots()["confusion"]["text"]
    assert "<img src=x onerro" in ticks
    assert "&lt;" not in ticks
    visit.page.close()


@pytest.fixture(scope="module")
def small(browser, tmp_path_factory) -> Report:
    """A report with hostile classes and two figures, open."""
    folder = tmp_path_factory.mktemp("small") / "run"
    return Report(browser, write_report(write_run(folder, classes=HOSTILE, steps=1)))


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
