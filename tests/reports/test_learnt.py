"""What a search has taught: drawn from its record alone, said in numbers, and passed over where it does not apply."""

from __future__ import annotations

import json
import math
import shutil

import optuna
import pytest

from ravine.errors import FolderError
from ravine.reports import write_report
from ravine.reports.figures.learnt import learnt as pictures_of
from ravine.reports.figures.learnt import not_learnt
from ravine.reports.folder import read_run
from ravine.reports.records import Learnt
from ravine.reports.sections import sections
from ravine.reports.study import Range, Trial
from ravine.reports.theme import LIGHT
from ravine.search import after_search

from .folders import edit_json
from .lessons import learnt, nothing_learnt

RANGES = {"lr": Range(1e-4, 1.0, log=True), "dropout": Range(0.0, 0.5, log=False)}
KINDS = ["importance", "more-trials", "grid-random"]


def drawn(record, task="classification", ranges=RANGES, optimizer="adamw"):
    """The pictures of a record by kind."""
    parameters = {"optimizer": optimizer} if optimizer else {}
    trials = [Trial(n, parameters, 0.9, "finished", "coarse", "", ranges) for n in range(24)]
    score = ("validation accuracy", False) if task == "classification" else ("validation RMSE", True)
    found = pictures_of("step-4", Learnt.model_validate(record), trials, *score)
    return {picture.name.removeprefix("step-4-"): picture for picture in found}


def changed(part, task="classification", **changes):
    """A record with some fields of one part changed."""
    record = learnt(task)
    return record | {part: record[part] | changes}


def step(folder, number):
    return next(part for part in sections(read_run(folder)) if part.anchor == f"step-{number}")


def searched(count):
    """A search in which the rate matters, and nothing else."""
    space = optuna.distributions.FloatDistribution
    ranges = {"lr": space(1e-4, 1.0, log=True), "dropout": space(0.0, 0.5)}
    trials = []
    for n in range(count):
        lr, dropout = 10 ** (-4 + 4 * ((7 * n) % count) / count), 0.5 * ((5 * n) % count) / count
        score = 0.9 - 0.1 * abs(math.log10(lr) + 2) if lr < 0.5 else math.nan
        trials.append(
            optuna.trial.create_trial(
                params={"lr": lr, "dropout": dropout},
                distributions=ranges,
                value=0.0,
                intermediate_values={40: score},
                user_attrs={"phase": "coarse"},
            )
        )
        trials[-1].number = n
    return trials


def test_what_after_search_records_is_what_the_report_reads():
    record = json.loads(json.dumps(after_search(searched(24), "coarse", sampler="random", maximize=True)))
    assert list(drawn(record)) == KINDS
    few = json.loads(json.dumps(after_search(searched(6), "coarse", sampler="random", maximize=True)))
    assert drawn(few) == {}
    assert len(not_learnt(Learnt.model_validate(few))) == 3


def test_each_step_shows_what_it_taught_and_says_what_it_did_not(finished):
    assert [picture.name for picture in step(finished, 4).pictures] == [f"step-4-{kind}" for kind in KINDS]
    assert step(finished, 4).remarks == []
    assert not any(picture.name.startswith("step-5") for picture in step(finished, 5).pictures)
    said = "Which hyper-parameters mattered is not told: 9 trials of equal length are too few to tell: 20 are needed."
    assert step(finished, 5).remarks[0] == said
    assert f'<p class="quiet">{said}</p>' in write_report(finished).read_text(encoding="utf-8")


def test_an_older_run_has_neither(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    for name in ("4-coarse", "5-refine"):
        path = folder / "steps" / f"{name}.json"
        evidence = json.loads(path.read_text(encoding="utf-8"))["evidence"]
        del evidence["learnt"]
        edit_json(path, evidence=evidence)
    assert step(folder, 4).pictures == []
    assert [*step(folder, 4).remarks, *step(folder, 5).remarks] == []


@pytest.mark.parametrize(
    ("part", "field"), [("importance", "trials"), ("more_trials", "before"), ("grid_or_random", "places")]
)
def test_a_damaged_record_is_named(finished, tmp_path, part, field):
    folder = shutil.copytree(finished, tmp_path / "run")
    path = folder / "steps" / "4-coarse.json"
    evidence = json.loads(path.read_text(encoding="utf-8"))["evidence"]
    del evidence["learnt"][part][field]
    edit_json(path, evidence=evidence)
    with pytest.raises(
        FolderError, match=rf"4-coarse.json is damaged: evidence.learnt.{part}.*{field}: field required"
    ):
        read_run(folder)


def test_the_most_important_stands_on_top_and_what_may_be_chance_is_pale():
    shares = {
        "<b>x</b>": {"share": 0.1, "low": 0.0, "high": 0.4, "chance": 0.3},
        "lr": {"share": 0.9, "low": 0.5, "high": 0.95, "chance": 0.05},
    }
    picture = drawn(changed("importance", importance=shares))["importance"]
    bars, whiskers, words = picture.figure.data
    assert list(bars.x) == [0.9, 0.1]
    assert list(bars.marker.color) == [LIGHT.blue, LIGHT.faint]
    assert list(whiskers.x) == [0.5, 0.95, None, 0.0, 0.4, None]
    assert list(words.text) == ["\u00a0lr: 90 %", "\u00a0&lt;b&gt;x&lt;/b&gt;: 10 %, may be chance"]
    assert picture.figure.layout.yaxis.range[0] > picture.figure.layout.yaxis.range[1]  # the first row is the upper one
    assert picture.caption.startswith(
        "lr mattered; the others cannot be told from a hyper-parameter that does nothing."
    )
    assert "one of the 24 trials, compared at step 120, was among the best 25 %" in picture.caption


@pytest.mark.parametrize(("chance", "said"), [(0.01, "All can be told"), (0.2, "None can be told")])
def test_all_or_none_that_matter_are_said(chance, said):
    shares = {name: {"share": 0.5, "low": 0.2, "high": 0.8, "chance": chance} for name in ("lr", "dropout")}
    assert drawn(changed("importance", importance=shares))["importance"].caption.startswith(said)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (
            "classification",
            "Going from 12 to 24 trials brought 0.4 percentage points of accuracy (in 90 % of resamplings 0.1 to 1.2); the doubling before, "
            "from 6 to 12, 2. While",
        ),
        (
            "regression",
            "brought 0.24 of RMSE (in 90 % of resamplings 0.06 to 0.72); the doubling before, from 6 to 12, 1.2. While",
        ),
    ],
)
def test_a_doubling_is_told_in_the_metrics_own_unit(task, said):
    assert said in drawn(learnt(task), task)["more-trials"].caption


@pytest.mark.parametrize(("task", "sign"), [("classification", 1), ("regression", -1)])
def test_the_next_doubling_is_bounded_where_gains_fall(task, sign):
    record = learnt(task)["more_trials"]
    band, most, curve, made = drawn(learnt(task), task)["more-trials"].figure.data
    now = record["curve"][-1][1]
    assert (list(most.x), list(most.y)) == ([24, 48], [now, now + sign * record["doubling"]])
    assert list(band.y) == [now, now + sign * record["low"], now + sign * record["high"], now]
    assert (list(made.x), list(made.y)) == ([24], [now])
    assert (curve.x[0], curve.x[-1]) == (3, 24)


def test_nothing_is_promised_where_gains_grow():
    picture = drawn(changed("more_trials", before=0.003))["more-trials"]
    assert len(picture.figure.data) == 2
    assert "twice the trials may well bring more" in picture.caption
    assert "no more than" not in picture.caption


def test_the_plane_shows_the_grid_the_trials_and_those_nearest_to_it():
    record = learnt()["grid_or_random"]
    lost, kept, near, grid = drawn(learnt())["grid-random"].figure.data
    assert set(zip(grid.x, grid.y, strict=True)) == {(x, y) for x in (0.25, 0.75) for y in (0.25, 0.75)}
    assert list(near.x) == [record["places"][n][1] for n in (2, 7, 8)]
    assert (len(lost.x), len(kept.x)) == (2, 22)
    assert list(kept.marker.color) == [value for _, _, _, value, _ in record["places"] if value is not None]
    assert list(lost.text) == ["trial 5: diverged", "trial 11: diverged"]


def test_the_axes_say_real_values():
    layout = drawn(learnt())["grid-random"].figure.layout
    x, y = (dict(zip(axis.ticktext, axis.tickvals, strict=True)) for axis in (layout.xaxis, layout.yaxis))
    assert x["0.01"] == pytest.approx(0.5)
    assert y["0.1"] == pytest.approx(0.2)
    assert ([note.text for note in layout.annotations], layout.yaxis.title.text) == (["lr"], "dropout")


def test_without_a_range_the_axes_say_the_position_within_it():
    picture = drawn(learnt(), ranges={"lr": RANGES["lr"]})["grid-random"]
    assert picture.figure.layout.yaxis.ticktext is None
    assert "position within its range" in picture.caption
    assert "position within its range" not in drawn(learnt())["grid-random"].caption


@pytest.mark.parametrize(("optimizer", "whose"), [("adamw", "24 random trials of adamw"), ("", "24 random trials")])
def test_grid_and_random_are_compared_in_two_sentences(optimizer, whose):
    caption = drawn(learnt(), optimizer=optimizer)["grid-random"].caption
    assert caption == (
        f"A grid of 8 trials over 3 hyper-parameters tries 2 values of each; the {whose} tried 24 of lr. "
        "The 3 of them nearest to the grid's points in lr and dropout (ringed; the points are crosses) reached 0.93 at best, as "
        "many at random 0.95 on average (90 %: 0.91 to 0.96); the 2 nearest to its values of lr alone 0.92 at best, as many at "
        "random 0.94 on average (90 %: 0.9 to 0.95); the best of all 24 is 0.97. Thin crosses diverged. After Bergstra and Bengio 2012."
    )


def test_a_study_keeps_the_ranges_its_trials_were_drawn_from(finished):
    ranges = read_run(finished).trials[0].ranges
    assert ranges["lr"] == Range(1e-7, 10, log=True)
    assert ranges["dropout"] == Range(0, 0.5, log=False)
    assert "optimizer" not in ranges


def test_names_and_reasons_are_no_markup():
    picture = drawn(learnt(name="<i>x</i>"))
    assert picture["grid-random"].figure.layout.yaxis.title.text == "&lt;i&gt;x&lt;/i&gt;"
    assert "&lt;i&gt;" in picture["importance"].figure.data[0].hovertext[1]
    assert not_learnt(Learnt.model_validate(nothing_learnt("a <b>")))[0].endswith("a <b>.")  # escaped by the page
