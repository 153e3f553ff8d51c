"""Writes docs/reported-problems.md: the problems of other projects that tests/peers holds Ravine to, from the reports on its tests.

python docs/reported_problems_page.py
"""

from __future__ import annotations

import importlib
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
HEAD = """# Peers' bugs as our tests

What users reported to other projects, and what Ravine does in the same situation. Each row is a test of `tests/peers`, named after
the report: `test_NUMBER_` and the words in the last column. A problem was run again here where it says so, on the version named;
the script is in `tests/peers/seen_again.py`, and a test holds what is said to what it does. The other reports were read, and not run.

No project is the worse for having its bugs written down: these are good tests because others took the trouble to report them.

This page is written by `docs/reported_problems_page.py`.

{count} reports to {peers} projects: {seen} seen again here, {gone} no longer there, {rest} not run.
"""


def reports() -> list[Any]:
    """The reports of all tests, by project; those with most of them first."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    for path in sorted((ROOT / "tests" / "peers").glob("test_*.py")):
        importlib.import_module(f"tests.peers.{path.stem}")
    found = list(importlib.import_module("tests.peers.reports").REPORTS.values())
    count = {name: sum(one.repository == name for one in found) for name in {one.repository for one in found}}
    return sorted(found, key=lambda one: (-count[one.repository], one.repository, one.number))


def page() -> str:
    """The page as Markdown."""
    found = reports()
    seen, gone = sum(bool(one.seen) for one in found), sum(bool(one.gone) for one in found)
    peers = len({one.repository for one in found})
    text = HEAD.format(count=len(found), peers=peers, seen=seen, gone=gone, rest=len(found) - seen - gone)
    for repository, rows in groupby(found, key=lambda one: one.repository):
        text += f"\n## {repository}\n\n| report | what happened there | what Ravine does | here | test |\n|---|---|---|---|---|\n"
        text += "".join(f"{row(one)}\n" for one in rows)
    return text


def row(one: Any) -> str:
    """One report as a row of its table."""
    file, _, name = one.test.partition("::")
    said = name.removeprefix(f"test_{one.number}_").replace("_", " ")
    return f"| [#{one.number}]({one.url}) | {cell(one.told)} | {cell(one.ravine)} | {one.standing} | `{file}`: {said} |"


def cell(text: str) -> str:
    """A sentence that keeps its signs from Markdown."""
    return "".join(f"\\{sign}" if sign in "*_<>|[]#`" else sign for sign in text)


def main() -> None:
    (HERE / "reported-problems.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
