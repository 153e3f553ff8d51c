"""What the docs say is what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from ravine.rules import METHODS, RULES

DOCS = Path(__file__).resolve().parents[1] / "docs"


def writer() -> ModuleType:
    """The script that writes the page."""
    spec = importlib.util.spec_from_file_location("rules_table", DOCS / "rules_table.py")
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
