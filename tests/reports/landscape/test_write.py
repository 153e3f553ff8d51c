"""The end of a file's name says what is written; what cannot be written is refused in one line, and nothing is left."""

from __future__ import annotations

import importlib.util
import json
import shutil

import pytest

from ravine.errors import FolderError, SettingError
from ravine.reports.landscape import Asked, check_out, walked, write_landscape

found = pytest.fixture(scope="module")(lambda: walked(Asked("ravine50", ("gd",), (0.01, 0.02), steps=20)))
needs_browser = pytest.mark.skipif(
    shutil.which("chromium") is None or importlib.util.find_spec("kaleido") is None, reason="needs chromium and kaleido"
)


@needs_browser
@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG\r\n"), ("a.svg", b"<svg ")])
def test_a_picture_is_drawn(found, tmp_path, name, begins) -> None:
    out = write_landscape(found, tmp_path / name)
    assert out.read_bytes().startswith(begins)
    assert out.stat().st_size > 10_000


def test_a_page_holds_all_it_needs(found, tmp_path) -> None:
    text = write_landscape(found, tmp_path / "a.html").read_text()
    assert "ravine landscape --surface ravine50" in text
    assert "src=" not in text.replace("img-src", "").replace("script-src", "").split("<script type")[0]
    assert "Content-Security-Policy" in text


def test_numbers_are_written_in_full(found, tmp_path) -> None:
    kept = json.loads(write_landscape(found, tmp_path / "a.json").read_text())
    assert kept["paths"][1]["points"] == found.paths[1].points.tolist()


@pytest.mark.parametrize("name", ["a.gif", "a", ".png/a.pdf"])
def test_another_kind_of_file_is_refused(tmp_path, name) -> None:
    with pytest.raises(SettingError, match=r"\.html, \.png, \.svg or \.json"):
        check_out(tmp_path / name)


def test_a_picture_without_kaleido_names_the_cure_and_the_page(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingError, match=r"pip install 'ravine\[pictures\]'.*paths\.html"):
        check_out(tmp_path / "paths.png")


def test_a_picture_without_a_browser_names_the_cure_and_the_page(found, monkeypatch, tmp_path) -> None:
    kaleido = pytest.importorskip("kaleido")
    from kaleido.errors import ChromeNotFoundError

    def no_browser(*_, **__):
        raise ChromeNotFoundError

    monkeypatch.setattr(kaleido, "calc_fig_sync", no_browser)
    with pytest.raises(SettingError, match=r"install chromium.*paths\.html"):
        write_landscape(found, tmp_path / "paths.png")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_leaves_nothing(found, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="cannot write"):
        write_landscape(found, tmp_path / "file" / "a.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
