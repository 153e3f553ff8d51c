"""Every test of this folder carries its report, and what is said of a version that is installed is what it does."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from .reports import REPORTS, Report
from .seen_again import SCRIPTS, installed, run_quietly

HERE = Path(__file__).parent
FILES = sorted(path.stem for path in HERE.glob("test_*.py") if path.stem != "test_records")

for name in FILES:
    importlib.import_module(f".{name}", __package__)


def test_every_test_of_the_folder_carries_one_report_and_no_report_has_two_tests() -> None:
    tests = [
        f"{name}.py::{node.name}"
        for name in FILES
        for node in ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert sorted(tests) == sorted(REPORTS)
    assert len({(one.repository, one.number) for one in REPORTS.values()}) == len(REPORTS) >= 30


def test_a_report_says_in_a_sentence_each_what_happened_there_and_what_happens_here() -> None:
    for one in REPORTS.values():
        assert one.told.endswith(".")
        assert one.ravine.endswith(".")
        assert one.url == f"https://github.com/{one.repository}/issues/{one.number}"


def test_what_is_said_to_be_seen_here_has_a_script_and_the_other_way_round() -> None:
    assert {(one.repository, one.number) for one in REPORTS.values() if one.run_on} == SCRIPTS.keys()


@pytest.mark.parametrize(
    "one",
    [one for one in REPORTS.values() if one.run_on],
    ids=lambda one: f"{one.repository.partition('/')[2]}-{one.number}",
)
def test_a_problem_that_was_seen_here_is_there_and_one_that_is_gone_is_not(one: Report) -> None:
    if not installed(one.run_on):
        pytest.skip(f"{one.run_on} is not installed here")
    assert run_quietly(SCRIPTS[one.repository, one.number]) == bool(one.seen)
