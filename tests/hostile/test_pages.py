"""Names that a stranger chose, in the pages of a real run, opened in a real browser: shown as text, never obeyed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.reports.browsing import ARGUMENTS, CHROMIUM, Visit, needs_chromium

import ravine
from ravine.cli import main

pytestmark = needs_chromium

CLASSES = ("<script>alert(1)</script>", '"><svg onload=alert(2)>')
COLUMN = "<script>alert(3)</script>"
FILE = "<img src=x onerror=alert(4)>.csv"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def strangers_in(visit: Visit) -> int:
    """Elements that no page of ours has, and scripts that a name would have made."""
    return int(visit.page.evaluate("document.querySelectorAll('img, svg[onload], iframe, [onerror]').length"))


def test_the_report_of_a_table_of_scripts_shows_them(browser: Browser, tmp_path: Path) -> None:
    quoted = [name.replace('"', '""') for name in CLASSES]
    rows = [f'{k % 2 + k / 50},{k % 3},"{quoted[k % 2]}"' for k in range(60)]
    (tmp_path / FILE).write_text(f'{COLUMN},"b&amp;c",<b>kind</b>\n' + "\n".join(rows) + "\n")
    more = {"target": "<b>kind</b>", "epochs": 2, "settings": {"hidden": [4]}, "out": tmp_path / "<i>run"}
    ravine.train("mlp", str(tmp_path / FILE), **more)  # type: ignore[arg-type]
    visit = Visit(browser, tmp_path / "<i>run" / "report.html", "light", 1200, home=tmp_path.as_uri())
    visit.page.wait_for_timeout(500)
    text = visit.page.inner_text("body") + visit.page.evaluate("document.body.textContent")
    assert visit.complaints == []
    assert strangers_in(visit) == 0
    assert CLASSES[0] in text
    assert FILE in text
    visit.page.close()


def test_a_landscape_of_a_surface_with_a_script_in_its_text_shows_it(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    surface = "x**2 + y**2 # </script><script>alert(1)</script><img src=x onerror=alert(2)>"
    assert (
        main(["landscape", "--surface", surface, "--lr", "0.1", "--steps", "5", "--start", "1", "1", "--out", "p.html"])
        == 0
    )
    visit = Visit(browser, tmp_path / "p.html", "light", 1200, home=tmp_path.as_uri())
    visit.page.wait_for_timeout(500)
    assert visit.complaints == []
    assert strangers_in(visit) == 0
    assert "<script>alert(1)</script>" in visit.page.evaluate("document.body.textContent")
    visit.page.close()
