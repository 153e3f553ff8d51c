"""What the tests of the docs share: the scripts that write pages, and the site, built once."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))  # the scripts import one another by name, as they do when one of them is run


def failures(page: str) -> list[str]:
    """What the examples of a page print that it does not show. They run in the present folder."""
    from examples import differences, run

    return [
        said
        for example, printed in run(page)
        if example.shown is not None and (said := differences(example.shown, printed, example.near))
    ]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The whole site, built strictly. One figure of the gallery is drawn and stands for all, for drawing them takes half a minute."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("docs")
    extra = {"generator": False, "gallery": str(stand_ins(folder / "gallery"))}
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder / "site"), strict=True, extra=extra)
    counted = logging.getLogger("mkdocs")
    before = counted.level
    build(config)
    counted.setLevel(before)
    yield folder / "site"
    shutil.rmtree(folder)


def stand_ins(folder: Path) -> Path:
    """A gallery in which every figure that a page asks for is the same one."""
    from ravine.reports.gallery import write_gallery

    drawn = write_gallery(folder, only="three-ravines")
    data = (folder / "figures" / "three-ravines.js").read_text(encoding="utf-8")
    for path in DOCS.rglob("*.md"):
        for name in re.findall(r"^<!-- figure: (\S+) -->$", path.read_text(encoding="utf-8"), re.MULTILINE):
            text = drawn.read_text(encoding="utf-8").replace("three-ravines", name)
            (folder / f"{name}.html").write_text(text, encoding="utf-8")
            (folder / "figures" / f"{name}.js").write_text(data.replace("three-ravines", name, 1), encoding="utf-8")
    (folder / "index.html").write_text(drawn.read_text(encoding="utf-8"), encoding="utf-8")
    return folder
