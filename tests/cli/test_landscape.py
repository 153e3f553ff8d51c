"""`ravine landscape` and `ravine gallery` as a person meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.cli.conftest import Answer, Ravine

from ravine.reports.gallery import figures

ISSUE = "landscape --surface ravine50 --rule momentum --set momentum=0.9 --lr .001 .005 .01 --start 4 .5 --steps 100"


def refused(answer: Answer, *said: str) -> None:
    assert answer.status == 2, answer.err
    assert answer.out == ""
    lines = answer.err.strip().splitlines()
    assert len(lines) == 1, answer.err
    for pattern in said:
        assert re.search(pattern, lines[0]), (pattern, lines[0])


def test_several_values_stand_after_one_flag(ravine: Ravine) -> None:
    answer = ravine(*ISSUE.split(), "--out", "paths.html")
    assert (answer.status, answer.out.strip()) == (0, "paths.html"), answer.err
    answer = ravine(*ISSUE.split(), "--json")
    kept = json.loads(answer.out)
    assert [path["lr"] for path in kept["paths"]] == [0.001, 0.005, 0.01]
    assert {tuple(path["start"]) for path in kept["paths"]} == {(4.0, 0.5)}
    assert {path["steps"] for path in kept["paths"]} == {100}


def test_without_a_file_a_table_is_printed_and_nothing_is_written(ravine: Ravine, tmp_path: Path) -> None:
    answer = ravine(*ISSUE.split())
    lines = answer.out.splitlines()
    assert lines[0].split()[:3] == ["rule", "lr", "start"]
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["momentum", "0.001"],
        ["momentum", "0.005"],
        ["momentum", "0.01"],
    ]
    assert "converges for lr below 0.038" in answer.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        "--start -4 -.5 --start 1 1e-3",
        "--start=-4,-.5 --start 1,1e-3",
        "--start -4,-.5 --start=1 1e-3",
    ],
)
def test_points_may_be_written_in_any_way_and_be_negative(ravine: Ravine, words: str) -> None:
    answer = ravine("landscape", "--surface", "bowl", "--lr", ".1", *words.split(), "--json")
    assert [path["start"] for path in json.loads(answer.out)["paths"]] == [[-4.0, -0.5], [1.0, 0.001]]


def test_rules_may_be_repeated_and_mixed_with_methods(ravine: Ravine) -> None:
    answer = ravine(
        "landscape", "--surface", "rosenbrock", "--rule", "gd", "--rule", "adam", "lbfgs", "--lr", "1e-4", "--json"
    )
    assert [path["rule"] for path in json.loads(answer.out)["paths"]] == ["gd", "adam", "lbfgs"]


def test_json_and_file_are_one_record(ravine: Ravine, tmp_path: Path) -> None:
    printed = json.loads(ravine(*ISSUE.split(), "--out", "a.json", "--json").out)
    assert json.loads((tmp_path / "a.json").read_text()) == printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", ["Missing option.*--surface"]),
        ("--surface ravine5 --lr .1", ["no surface 'ravine5'", "ravine50"]),
        ("--surface x+z --lr .1", ["z"]),
        ("--surface __import__('os') --lr .1", ["__import__"]),
        ("--surface bowl --lr .1 --rule adma", ["no rule 'adma'", "did you mean"]),
        ("--surface bowl --lr .1 --rule adam --set beta3=.9", ["beta3", "beta2"]),
        ("--surface bowl --lr .1 --rule momentum --set momentum=2", ["momentum is 2", r"\[0, 1\)"]),
        ("--surface bowl --lr .1 --rule momentum --set momentum", ["KEY=VALUE"]),
        ("--surface bowl --lr .1 --start 1", ["1 coordinates.*has 2"]),
        ("--surface bowl --lr .1 --start 1 2 3", ["3 coordinates"]),
        ("--surface bowl --lr .1 --start 1 north", ["--start is 'north'", "--start 4 .5"]),
        ("--surface log(x) --lr .1 --start -1 1", ["not finite at the start"]),
        ("--surface bowl", ["no learning rate", "--lr 0.01"]),
        ("--surface bowl --lr", ["--lr.*requires an argument"]),
        ("--surface bowl --lr fast", ["--lr is 'fast'"]),
        ("--surface bowl --lr -1", ["--lr is -1"]),
        ("--surface bowl --lr 0", ["positive"]),
        ("--surface bowl --lr .1 --steps 0", ["--steps is 0"]),
        ("--surface bowl --lr .1 --steps many", ["--steps.*'many'"]),
        ("--surface bowl --lr .1 --race --apart", ["leave one of the two out"]),
        ("--surface bowl --lr .1 --out paths.gif", ["paths.gif", ".html, .png, .svg or .json"]),
        ("--surface bowl --lr .1 --rase", ["--rase", "--race"]),
        ("--surface quadratic --set dimension=3 --lr .1 --out paths.html", ["3 dimensions", "paths.json"]),
        ("--surface noisy --rule newton", ["noise"]),
    ],
)
def test_a_wrong_word_is_answered_in_one_line_and_nothing_is_written(
    ravine: Ravine, tmp_path: Path, words: str, said: list[str]
) -> None:
    refused(ravine("landscape", *words.split()), *said)
    assert list(tmp_path.iterdir()) == []


def test_the_gallery_names_its_figures(ravine: Ravine) -> None:
    answer = ravine("gallery", "--list")
    assert [line.split()[0] for line in answer.out.splitlines()] == list(figures())


def test_one_figure_is_drawn_by_its_name(ravine: Ravine) -> None:
    answer = ravine("gallery", "--only", "overshoot", "--out", "pictures")
    assert (answer.status, answer.out.strip()) == (0, "pictures/overshoot.html")
    names = {str(path.relative_to("pictures")) for path in Path("pictures").rglob("*.*")}
    assert names == {"plotly.js", "gallery.js", "overshoot.html", "figures/overshoot.js"}


def test_a_folder_that_is_no_gallery_is_left_alone(ravine: Ravine, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    refused(ravine("gallery", "--only", "overshoot", "--out", "mine"), "mine exists and is no gallery", "--out")
    refused(ravine("gallery", "--only", "overshoot", "--out", "mine/thesis.tex"), "no gallery")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", ["--out gallery", "--list"]),
        ("--only ovreshoot --out pictures", ["no figure 'ovreshoot'", "did you mean overshoot"]),
    ],
)
def test_a_gallery_asked_wrongly_is_refused(ravine: Ravine, tmp_path: Path, words: str, said: list[str]) -> None:
    refused(ravine("gallery", *words.split()), *said)
    assert list(tmp_path.iterdir()) == []
