"""What a check's report says of its diagnosis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ravine.errors import FolderError
from ravine.reports import write_report
from ravine.reports.folder import read_run
from ravine.reports.sections import badges, sections

from .folders import write_config, write_json


def found(confidence: float, **more: Any) -> dict[str, Any]:
    first = {
        "fault": "capacity-too-small",
        "confidence": confidence,
        "evidence": {"units": 1, "held_skill": 0.1234},
        "where": "1",
        "advice": "Give 1 64 units instead of 1.",
        "change": {},
        "verified": "skill 1.00 instead of 0.12 with 64 units",
    }
    return {**first, **more}


@pytest.fixture
def checked(tmp_path: Path) -> Path:
    """A folder of a check without its steps."""
    write_config(tmp_path, "classification", ["a", "b"], "digits")
    return tmp_path


def section(folder: Path) -> Any:
    return next(part for part in sections(read_run(folder)) if part.anchor == "diagnosis")


def test_alarms_are_told_root_first_and_suspicions_apart(checked: Path) -> None:
    suspicion = found(0.3, fault="lr-too-low", advice="Set lr to 0.1.", verified="")
    write_json(checked / "diagnosis.json", {"findings": [found(0.95), suspicion]})
    part = section(checked)
    assert part.status == "fail"
    assert part.summary.startswith("Something is wrong, the root first: capacity-too-small.")
    assert "suspicion" in part.summary
    assert part.advice == ["capacity-too-small: Give 1 64 units instead of 1.", "lr-too-low: Set lr to 0.1."]
    assert part.table.rows[0] == (
        "capacity-too-small", "95 %", "1", "skill 1.00 instead of 0.12 with 64 units", "units = 1; held skill = 0.1234",
    )  # fmt: skip
    assert part.table.rows[1][3] == "not tried"
    assert ("diagnosis", "Diagnosis", "fail") in badges(read_run(checked))


def test_nothing_found_is_said(checked: Path) -> None:
    write_json(checked / "diagnosis.json", {"findings": []})
    assert (section(checked).status, section(checked).summary) == ("pass", "No fault was found.")


def test_a_run_without_a_diagnosis_has_no_such_part(checked: Path) -> None:
    assert "diagnosis" not in [part.anchor for part in sections(read_run(checked))]


def test_foreign_text_is_shown_and_not_obeyed(checked: Path) -> None:
    write_json(checked / "diagnosis.json", {"findings": [found(0.9, where="<script>alert(1)</script>")]})
    page = write_report(checked).read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page


def test_a_damaged_diagnosis_is_refused_by_its_name(checked: Path) -> None:
    write_json(checked / "diagnosis.json", {"findings": [{"fault": "nan-input"}]})
    with pytest.raises(FolderError, match=r"diagnosis.json is damaged: findings.0.confidence"):
        read_run(checked)
