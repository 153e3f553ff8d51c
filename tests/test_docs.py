"""What the docs say is what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ravine.diagnosis import CATALOGUE
from ravine.rules import METHODS, RULES

DOCS = Path(__file__).resolve().parents[1] / "docs"


def writer(name: str = "rules_table") -> ModuleType:
    """A script that writes pages."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_rules_is_the_one_that_the_docstrings_give() -> None:
    assert (DOCS / "rules.md").read_text() == writer().page(), "write it again: python docs/rules_table.py"


def test_every_rule_has_its_formula_source_and_memory_in_the_table() -> None:
    rows = [line.split(" | ") for line in writer().page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(RULES) + len(METHODS)
    assert all(formula and source and memory for _, formula, source, memory, *_ in rows)


def test_the_page_of_every_fault_is_the_one_that_its_docstring_gives() -> None:
    written = {path.name: path.read_text() for path in (DOCS / "faults").glob("*.md")}
    assert written == writer("faults_pages").pages(), "write them again: python docs/faults_pages.py"


def test_every_fault_of_the_catalogue_has_a_page_with_its_five_parts() -> None:
    titles = ("Symptom", "Why", "How it is found", "Cure", "Source")
    pages = writer("faults_pages").pages()
    assert {f"{name}.md" for name in CATALOGUE} == pages.keys() - {"README.md"}
    for name in CATALOGUE:
        assert [line[3:] for line in pages[f"{name}.md"].splitlines() if line.startswith("## ")] == list(titles), name
        assert f"({name}.md)" in pages["README.md"]


def test_a_docstring_without_all_parts_makes_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from ravine.diagnosis.faults import lr_too_high

    monkeypatch.setattr(lr_too_high, "__doc__", "lr-too-high: one sentence.\n\nSymptom: this.\nWhy: that.\n")
    with pytest.raises(ValueError, match="the docstring of lr-too-high has the parts"):
        writer("faults_pages").page("lr-too-high")


def test_the_page_of_peers_is_the_one_that_the_reports_of_its_tests_give() -> None:
    page = writer("reported_problems_page").page()
    assert (DOCS / "reported-problems.md").read_text(encoding="utf-8") == page, (
        "write it again: python docs/reported_problems_page.py"
    )
    assert page.count("\n| [#") >= 30
