"""The page as a file: whole or not at all, self-contained, foreign text escaped."""

from __future__ import annotations

import html.parser
import json
import os

import pytest

from ravine.errors import FolderError
from ravine.reports import write_report

from .folders import HOSTILE, edit_json, write_json, write_run


class Page(html.parser.HTMLParser):
    """The elements of a page, with their attributes, and the text of its scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._inside: str | None = None
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("id") if tag == "script" else None
        if self._inside:
            self.scripts[self._inside] = ""

    def handle_data(self, data):
        if self._inside:
            self.scripts[self._inside] += data
        self.text.append(data)

    def anchors(self) -> list[str]:
        return [attrs["id"] for tag, attrs in self.elements if tag == "section" and "id" in attrs]


def page(folder) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(finished) -> Page:
    return page(finished)


def test_the_sections_follow_the_recipe(whole):
    steps = [f"step-{number}" for number in range(1, 7)]
    assert whole.anchors() == ["summary", "command", *steps, "results", "data", "record"]


def test_nothing_is_fetched_from_elsewhere(whole):
    for tag, attrs in whole.elements:
        for name in ("src", "href", "srcset", "action"):
            assert (attrs.get(name) or "#").startswith(("#", "data:")), (tag, attrs)
    policy = next(a["content"] for t, a in whole.elements if t == "meta" and a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy


def test_plotly_is_inlined_once_and_each_figure_has_its_data(whole):
    plots = [attrs["id"] for tag, attrs in whole.elements if tag == "div" and attrs.get("class") == "plot"]
    assert len(plots) == len(set(plots)) == 20
    for name in plots:
        assert json.loads(whole.scripts[f"{name}-data"])["data"]
    assert len([tag for tag, attrs in whole.elements if tag == "script" and not attrs]) == 2


def test_the_command_can_be_pasted(whole):
    assert "ravine train --data digits --model mlp --set hidden=256,256 --optimizer adamw --lr 0.0031" in whole.text


def test_sections_without_records_are_left_out(tmp_path):
    found = page(write_run(tmp_path / "run", steps=2, results=False))
    assert found.anchors() == ["summary", "step-1", "step-2", "data", "record"]
    assert any("ends after step 2" in text for text in found.text)


def test_a_failed_step_is_said_in_the_summary(tmp_path):
    folder = write_run(tmp_path / "run", steps=1, results=False)
    edit_json(folder / "steps" / "1-initial-loss.json", status="fail")
    write_json(folder / "result.json", {"steps": [], "best": None, "ensemble": None, "trials": 0, "seconds": 3.0})
    assert any("Step 1 failed" in text for text in page(folder).text)


def test_one_trained_configuration_shows_its_curves(tmp_path):
    folder = write_run(tmp_path / "run")
    for path in [*(folder / "steps").iterdir(), folder / "study.db"]:
        path.unlink()
    assert page(folder).anchors() == ["summary", "command", "curves", "results", "data", "record"]


def test_hostile_names_add_no_element(tmp_path, whole):
    names = {"classes": HOSTILE, "data": "<script>alert(1)</script>", "activation": HOSTILE[0]}
    folder = write_run(tmp_path / "<img src=x onerror=alert(1)>?#%20", **names)
    edit_json(folder / "steps" / "2-overfit.json", advice=["<script>alert(2)</script>"], summary="<b>bold</b>")
    found = page(folder)
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in whole.elements}
    assert not [attrs for _, attrs in found.elements if "onerror" in attrs]
    assert any("<script>alert(2)</script>" in text for text in found.text)  # shown as text
    assert len([tag for tag, _ in found.elements if tag == "script"]) == len(
        [tag for tag, _ in whole.elements if tag == "script"]
    )


def test_bytes_in_a_path_that_are_no_text_are_no_obstacle(tmp_path):
    folder = write_run(tmp_path / "run", steps=1, results=False)
    edit_json(folder / "config.json", command="ravine tune --data \udcff.csv")
    assert write_report(folder).is_file()


def test_an_interrupted_write_leaves_the_old_report_and_nothing_else(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "run", steps=1, results=False)
    (folder / "report.html").write_text("old")
    before = sorted(path.name for path in folder.iterdir())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FolderError, match=r"report\.html cannot be written \(No space left"):
        write_report(folder)
    assert (folder / "report.html").read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == before


def test_the_report_can_be_written_again_and_read_by_others(tmp_path):
    folder = write_run(tmp_path / "run", steps=1, results=False)
    first = write_report(folder).read_bytes()
    target = write_report(folder)
    assert target == folder / "report.html"
    assert target.read_bytes() == first
    assert target.stat().st_mode & 0o777 == 0o644
