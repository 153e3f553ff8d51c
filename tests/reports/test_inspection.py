"""The curvature section: drawn from the record alone, its numbers in words, nothing where there is no record."""

from __future__ import annotations

import shutil

import pytest

from ravine.errors import FolderError
from ravine.reports import curvature_words, write_report
from ravine.reports.folder import read_run
from ravine.reports.inspection import Inspection
from ravine.reports.sections import sections
from ravine.reports.tables import curvature_table

from .folders import write_json
from .inspections import direction, inspection


def rows(record):
    return dict(curvature_table(Inspection.model_validate(record)).rows)


def section(folder):
    return next((part for part in sections(read_run(folder)) if part.anchor == "curvature"), None)


def test_the_section_stands_in_the_report_of_a_folder_with_a_record(finished, tmp_path):
    assert section(finished) is None
    shutil.copytree(finished, tmp_path / "run")
    write_json(tmp_path / "run" / "inspection.json", inspection())
    part = section(tmp_path / "run")
    assert "a fixed sample of 500 of the 1,149 examples of the train split" in part.summary
    assert len(part.pictures) == 4
    assert list(part.advice) == inspection()["notes"]
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert '<section class="card" id="curvature">' in page
    assert 'id="curvature-plane-data"' in page


def test_a_damaged_record_is_said_to_be_damaged(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    write_json(tmp_path / "run" / "inspection.json", inspection(top="none"))
    with pytest.raises(FolderError, match=r"inspection.json is damaged: curvature.top"):
        read_run(tmp_path / "run")


def test_the_numbers_are_there_with_their_errors():
    found = rows(inspection())
    assert found["largest eigenvalue, λmax"] == "10 ± 0.01"
    assert found["plain descent stable below"] == "0.2, 2/λmax"
    assert found["with momentum 0.9"].startswith("0.38, 2 (1 + 0.9)/λmax")
    assert found["trace"] == "25 ± 1.5"
    assert found["gradient noise scale"] == "300 ± 40 examples"
    assert found["batch size it suggests"] == "256; this run used 32"
    assert found["angle to the minimum"].startswith("70°")
    assert found["direction 1"] == "λ 10 ± 0.01; 30 % of the squared gradient; its loss halves in 4 steps"
    assert found["condition number"] == "about 400, of eigenvalues above 0.001"


def test_what_was_not_measured_has_no_row():
    nothing = dict.fromkeys(("trace", "effective_rank", "noise", "newton"))
    missing = set(rows(inspection())) - set(rows(inspection(**nothing)))
    assert missing == {
        "trace",
        "effective rank",
        "gradient noise scale",
        "batch size it suggests",
        "angle to the minimum",
    }


def test_the_limit_of_the_runs_own_optimizer_is_told_or_denied():
    assert rows(inspection())["this run's optimizer"] == (
        "sgd with Nesterov momentum 0.9: stable below 0.136; its peak rate 0.05"
    )
    adaptive = inspection() | {"optimizer": "adamw", "momentum": None, "stable_below": None}
    assert "not of adamw" in rows(adaptive)["this run's optimizer"]


@pytest.mark.parametrize(
    ("kind", "index", "said"),
    [
        ("minimum", (0.0, 0.0, 0), "a minimum, as far as"),
        (
            "slope",
            (0.0, 0.0, 0),
            "a slope, where no negative curvature was found: one plain step would take 0.4 % of the loss",
        ),
        ("saddle", (12.0, 0.0, 12), "a saddle: the gradient has all but vanished, and 12 directions bend down"),
        ("negative curvature here", (40.0, 4.2, 9), "and about 40 ± 4 directions bend down"),
        ("negative curvature here", (40.0, 30.0, 9), "and at least 9 directions bend down"),
        ("negative curvature here", (9.0, None, 9), "and at least 9 directions bend down"),
        ("negative curvature here", (1.0, None, 1), "and at least 1 direction bends down"),
    ],
)
def test_the_kind_of_point_is_told_in_words(kind, index, said):
    value, error, least = index
    changes = {"kind": kind, "index": {"value": value, "error": error, "at_least": least}}
    assert said in rows(inspection(**changes))["this point is"]


def test_a_largest_eigenvalue_that_is_not_known_well_sets_a_limit_from_above():
    loose = [direction(10.0) | {"error": 2.0}]
    assert rows(inspection())["plain descent stable below"] == "0.2, 2/λmax"
    assert rows(inspection(top=loose))["plain descent stable below"] == "at most 0.2, 2/λmax, which is not known well"


def test_a_large_error_is_written_in_whole_numbers():
    noise = {"scale": 958.9, "error": 344.2, "resolved": True, "at_least": 800.0, "suggested_batch": 512}
    assert rows(inspection(noise=noise))["gradient noise scale"] == "959 ± 344 examples"


def test_a_gradient_lost_in_noise_gives_a_lower_bound():
    noise = {"scale": 5000.0, "error": None, "resolved": False, "at_least": 800.0, "suggested_batch": 256}
    assert rows(inspection(noise=noise))["gradient noise scale"].startswith("above 800 examples")


def test_the_words_of_the_command_line_are_those_of_the_page():
    scope, told = curvature_words(inspection())
    assert dict(told) == rows(inspection())
    assert scope.startswith("The loss of trial 7 as a function of its 1,000 parameters")
