"""What was reported to other projects, beside the test that shows how Ravine does in the same situation.

A test is named after its report and carries it as `@report(...)`; docs/reported_problems_page.py makes a page of them all. What is said of a
version that was run here is kept true by test_seen_again.py, which runs the report again where that version is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["REPORTS", "Report", "report"]

Test = TypeVar("Test", bound=Callable[..., object])


@dataclass(frozen=True)
class Report:
    """One report. Of `seen` and `gone` one is given at most: a package and its version, such as torch 2.13.0."""

    repository: str  # owner/name on GitHub
    number: int
    told: str  # what happened there, in a sentence of ours
    ravine: str  # what Ravine does in the same situation
    test: str  # file::function
    seen: str = ""  # where it was run here, and happened again
    gone: str = ""  # where it was run here, and did not happen

    @property
    def url(self) -> str:
        return f"https://github.com/{self.repository}/issues/{self.number}"

    @property
    def run_on(self) -> str:
        """The package and version it was run on here, or ""."""
        return self.seen or self.gone

    @property
    def standing(self) -> str:
        """What was seen here, in words."""
        if self.seen:
            return f"seen again on {self.seen}"
        return f"no longer on {self.gone}" if self.gone else "reported, not run"


REPORTS: dict[str, Report] = {}
"""By test, in the order of the files."""


def report(
    repository: str, number: int, told: str, *, ravine: str, seen: str = "", gone: str = ""
) -> Callable[[Test], Test]:
    """Put a report on the test that is named after it: test_NUMBER_as_a_sentence."""

    def put(test: Test) -> Test:
        name = f"{test.__module__.rpartition('.')[2]}.py::{test.__name__}"
        assert test.__name__.startswith(f"test_{number}_"), f"{name} is not named after #{number}"
        assert not (seen and gone), f"{name}: seen again, or no longer?"
        REPORTS[name] = Report(repository, number, told, ravine, name, seen, gone)
        return test

    return put
