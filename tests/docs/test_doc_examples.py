"""Every example of the pages runs as it stands, in an empty folder, and prints what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import DOCS

WRITTEN = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def failures(page: str) -> list[str]:
    """What the examples of a page print that it does not show."""
    from examples import differences, run

    return [
        said
        for example, printed in run(page)
        if example.shown is not None and (said := differences(example.shown, printed, example.near))
    ]


@pytest.mark.parametrize("name", [name for name in WRITTEN if "```python" in (DOCS / name).read_text(encoding="utf-8")])
def test_a_pages_examples_print_what_it_shows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert failures((DOCS / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("writer", ["rule_pages", "schedule_pages", "surface_pages"])
def test_the_examples_of_generated_pages_run(writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    monkeypatch.chdir(tmp_path)
    for name, page in import_module(writer).pages().items():
        assert failures(page) == [], name


def test_every_page_that_teaches_has_an_example() -> None:
    taught = [
        name
        for name in WRITTEN
        if name.startswith(("recipe/", "choosing/")) or name in ("index.md", "adding-a-rule.md")
    ]
    without = [name for name in taught if "```text\n" not in (DOCS / name).read_text(encoding="utf-8")]
    assert len(taught) >= 12
    assert without == []


def test_a_page_whose_example_prints_something_else_is_found() -> None:
    page = "```python\nprint('a', 2.0)\n```\n\n```text\na 2.05\n```\n"
    assert failures(page) == []
    assert "prints 2.0" in failures(page.replace("2.05", "2.5"))[0]
    assert "it prints" in failures(page.replace("a 2.05", "b 2.05"))[0]
    assert failures(page.replace("a 2.05", "...")) == []
    assert failures(page.replace("\n\n```text\na 2.05", "\n\n<!-- numbers to 40 % -->\n\n```text\na 2.5")) == []


def test_a_command_of_a_page_must_end_as_the_page_says() -> None:
    with pytest.raises(RuntimeError, match="ended with status 2"):
        failures("```console\n$ ravine train --data nowhere.csv\n```\n")
    assert failures("```console\n$ ravine train --data nowhere.csv  # exit status 2\n```\n") == []
