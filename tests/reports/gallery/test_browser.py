"""The gallery and a landscape as a reader meets them in headless Chromium: every figure drawn, paths that move, no complaint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from ravine.reports.gallery import figures
from ravine.reports.landscape import Asked, walked, write_landscape

from ..browsing import Visit, needs_chromium

pytestmark = needs_chromium

DRAWN = """name => {
  const box = document.getElementById(name);
  return [...box.querySelectorAll('.trace path, .contourlayer path, .points path, canvas')]
    .map(mark => mark.getBoundingClientRect()).filter(place => place.width + place.height > 0).length;
}"""

# How long the lines of the paths are now, in points; the trace numbers are those of the figure.
LENGTHS = """name => {
  const layer = document.querySelector(`#${name} .paths`);
  return layer.data.filter(t => t.mode === 'lines+markers').map(t => t.x.length);
}"""

MOVE = """([name, control, value]) => {
  const slider = document.querySelector(`.walk[data-for="${name}"] .${control}`);
  slider.value = value;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
}"""


class Reader(Visit):
    """A page that may fetch what lies beside it."""

    def __init__(self, browser: Browser, path: Path, theme: str = "light", width: int = 1000) -> None:
        super().__init__(browser, path, theme, width, home=path.parent.as_uri())

    def look_at(self, name: str, theme: str = "light") -> None:
        self.page.locator(f"#{name}").scroll_into_view_if_needed()
        self.page.wait_for_selector(f"#{name}[data-drawn={theme}]", timeout=20_000)

    def move(self, name: str, control: str, value: int) -> list[int]:
        """Move a slider; the lengths of the paths once they are drawn."""
        self.page.evaluate(MOVE, [name, control, value])
        place = 0 if control == "step" else 1
        self.page.wait_for_function(
            "([name, place, value]) => document.getElementById(name).dataset.shown.split('/')[place] === value",
            arg=[name, place, str(value)],
            timeout=10_000,
        )
        return self.page.evaluate(LENGTHS, name)


SOME = ("three-ravines", "cliff", "momentum-map", "rosenbrock-3d", "schedules")


@pytest.mark.parametrize(("theme", "width", "names"), [("light", 1000, tuple(figures())), ("dark", 390, SOME)])
def test_every_figure_of_the_gallery_is_drawn(browser, gallery, theme, width, names) -> None:
    reader = Reader(browser, gallery, theme, width)
    for name in names:
        reader.look_at(name, theme)
        assert reader.page.evaluate(DRAWN, name) > 0, f"{name} is empty"
    assert not reader.scrolls_sideways()
    assert reader.complaints == []
    reader.page.close()


@pytest.fixture(scope="module")
def cliff(browser, gallery) -> Iterator[Reader]:
    """The page of a figure with two rates and a slider, open."""
    reader = Reader(browser, gallery.parent / "cliff.html")
    reader.look_at("cliff")
    yield reader
    reader.page.close()


def test_the_step_slider_moves_every_path(cliff) -> None:
    whole = cliff.move("cliff", "step", 150)
    assert len(whole) == 2
    assert cliff.move("cliff", "step", 10) == [11, 11]
    assert cliff.move("cliff", "step", 0) == [1, 1]
    assert cliff.move("cliff", "step", 150) == whole
    assert cliff.complaints == []


def test_the_rate_slider_shows_one_path_at_a_time(cliff) -> None:
    whole = cliff.move("cliff", "rate", 2)
    first, second = cliff.move("cliff", "rate", 0), cliff.move("cliff", "rate", 1)
    assert sorted([sum(first), sum(second)]) == sorted(whole)
    assert all(sum(length > 0 for length in shown) == 1 for shown in (first, second))
    assert first != second
    assert cliff.page.locator(".rate-text").text_content() == "4"
    cliff.move("cliff", "rate", 2)


def test_what_moves_is_drawn_and_the_level_lines_stay(cliff) -> None:
    path = "document.querySelector('#cliff .paths .trace path.js-line')?.getAttribute('d')"
    cliff.move("cliff", "step", 150)
    before, ground = (
        cliff.page.evaluate(path),
        cliff.page.evaluate("document.querySelectorAll('#cliff .ground .contourlayer path').length"),
    )
    cliff.move("cliff", "step", 20)
    assert cliff.page.evaluate(path) != before
    assert ground > 10
    assert cliff.page.evaluate("document.querySelectorAll('#cliff .ground .contourlayer path').length") == ground
    cliff.move("cliff", "step", 150)


def test_play_walks_to_the_end_and_can_be_paused(cliff) -> None:
    cliff.move("cliff", "step", 140)
    button = cliff.page.locator(".play")
    button.click()
    cliff.page.wait_for_function("document.querySelector('.walk .step').value === '150'", timeout=10_000)
    cliff.page.wait_for_function("document.querySelector('.play').getAttribute('aria-pressed') === 'false'")
    button.click()  # from the beginning
    cliff.page.wait_for_function("+document.querySelector('.walk .step').value < 140")
    button.click()
    paused = cliff.page.evaluate("document.querySelector('.walk .step').value")
    cliff.page.wait_for_timeout(200)
    assert cliff.page.evaluate("document.querySelector('.walk .step').value") == paused
    assert cliff.complaints == []


def test_a_figure_follows_the_reader_into_the_dark_at_its_step(browser, gallery) -> None:
    reader = Reader(browser, gallery.parent / "gd-ravine50.html")
    reader.look_at("gd-ravine50")
    assert reader.move("gd-ravine50", "step", 10) == [11] * 6
    reader.page.emulate_media(color_scheme="dark")
    reader.page.wait_for_selector("#gd-ravine50[data-drawn=dark]")
    assert reader.page.evaluate(LENGTHS, "gd-ravine50") == [11] * 6
    assert reader.complaints == []
    reader.page.close()


def test_a_landscape_stands_alone_and_moves(browser, tmp_path) -> None:
    asked = Asked("x**2 + 10*sin(y)", ("gd", "momentum"), (0.01, 0.1), {}, ((2.0, 1.0),), 30)
    reader = Reader(browser, write_landscape(walked(asked), tmp_path / "paths.html"))
    reader.look_at("paths")
    assert reader.page.evaluate(DRAWN, "paths") > 0
    assert reader.move("paths", "rate", 1).count(0) == 2
    assert set(reader.move("paths", "step", 5)) == {0, 6}
    assert not reader.scrolls_sideways()
    assert reader.complaints == []
    reader.page.close()
