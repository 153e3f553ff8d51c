"""The folder of a gallery: small pages, one script, and nothing else's folder touched."""

from __future__ import annotations

import json
import re

import pytest

from ravine.errors import FolderError, SettingError
from ravine.reports.gallery import CHAPTERS, figures, write_gallery


def test_the_index_tells_every_chapter_and_shows_every_figure(gallery) -> None:
    text = gallery.read_text()
    for chapter in CHAPTERS:
        assert f'id="{chapter.anchor}"' in text
    for name in figures():
        assert f'id="{name}"' in text
        assert f'href="{name}.html"' in text
    assert text.count('<pre class="command again"') == len(figures())


def test_the_pages_are_small_and_share_one_script(gallery) -> None:
    folder = gallery.parent
    names = {path.name for path in folder.iterdir()}
    assert names == {"index.html", "plotly.js", "gallery.js", "figures", *(f"{name}.html" for name in figures())}
    assert {path.name for path in (folder / "figures").iterdir()} == {f"{name}.js" for name in figures()}
    assert max(path.stat().st_size for path in folder.glob("*.html")) < 100_000
    assert max(path.stat().st_size for path in (folder / "figures").iterdir()) < 400_000


def test_the_data_of_a_figure_is_what_it_draws(gallery) -> None:
    text = (gallery.parent / "figures" / "overshoot.js").read_text()
    written = json.loads(re.fullmatch(r'ravine\.add\("overshoot", (.*)\);\n', text)[1])
    drawing = figures()["overshoot"].draw()
    assert written["walk"] == drawing.walk
    line = drawing.walk["paths"][0]["line"]
    assert written["data"][line]["x"] == list(drawing.figure.data[line].x)


def test_a_gallery_is_brought_up_to_date_and_keeps_its_other_figures(tmp_path) -> None:
    write_gallery(tmp_path / "g", only="contraction")
    before = (tmp_path / "g" / "contraction.html").stat().st_mtime_ns
    assert write_gallery(tmp_path / "g", only="overshoot") == tmp_path / "g" / "overshoot.html"
    assert (tmp_path / "g" / "contraction.html").stat().st_mtime_ns == before


def test_a_folder_of_something_else_is_refused_before_anything_is_drawn(tmp_path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(FolderError, match="is no gallery"):
        write_gallery(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_an_unknown_figure_leaves_no_folder(tmp_path) -> None:
    with pytest.raises(SettingError):
        write_gallery(tmp_path / "g", only="nothing")
    assert not (tmp_path / "g").exists()


def test_progress_is_told(tmp_path) -> None:
    told: list[tuple[float, str]] = []
    write_gallery(tmp_path / "g", only="contraction", tell=lambda share, text: told.append((share, text)))
    assert told == [(0.0, "contraction")]
