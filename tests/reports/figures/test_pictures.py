"""What each picture must show, read off its Plotly figure."""

from __future__ import annotations

import numpy as np
import pytest

from ravine.reports.figures.curves import field_curves, winner_epochs, winner_steps
from ravine.reports.figures.evaluation import evaluation
from ravine.reports.figures.initial_loss import initial_loss
from ravine.reports.figures.lr_range import lr_range
from ravine.reports.figures.overfit import overfit
from ravine.reports.figures.reliability import reliability
from ravine.reports.figures.search import search
from ravine.reports.folder import read_run
from ravine.reports.records import Evaluation, InitialLoss, LrRange, Overfit
from ravine.reports.study import Trial


@pytest.fixture(scope="module")
def run(finished):
    return read_run(finished)


def traces(picture):
    return {trace.name: trace for trace in picture.figure.data}


def trial(number, value, fate="finished", **parameters):
    return Trial(number, parameters, value, fate, "coarse", "")


def test_initial_losses_stand_inside_the_axis_with_the_band_around_the_expected_value(run):
    (measured,) = run.evidence(InitialLoss)
    (picture,) = initial_loss(measured)
    band, line = picture.figure.layout.shapes
    assert (band.y0 + band.y1) / 2 == pytest.approx(line.y0) == pytest.approx(measured.expected)
    low, high = picture.figure.layout.yaxis.range
    assert all(low < loss < high for loss in picture.figure.data[0].y)


def test_a_rate_that_diverged_has_no_dot_and_is_counted(run):
    (measured,) = run.evidence(Overfit)
    picture = overfit(measured)[-1]
    drawn = [rate for trace in picture.figure.data for rate in trace.x]
    lost = [rate for rate, loss in zip(measured.rates, measured.final_loss, strict=True) if loss is None]
    assert lost
    assert set(drawn) == set(measured.rates) - set(lost)
    assert f"diverged: {len(lost)}" in picture.caption


def test_each_optimizer_has_a_line_its_range_and_both_marks(run):
    (measured,) = run.evidence(LrRange)
    pictures = lr_range(measured)
    assert [p.title for p in pictures] == ["Learning rates for adamw", "Learning rates for sgd"]
    for picture, sweep in zip(pictures, measured.optimizers.values(), strict=True):
        shaded = next(shape for shape in picture.figure.layout.shapes if shape.type == "rect")
        assert (shaded.x0, shaded.x1) == (sweep.low, sweep.high)
        marks = {name.split(":")[0]: trace.x[0] for name, trace in traces(picture).items() if name}
        assert marks == {"best": sweep.best, "largest safe": sweep.largest_safe}


def test_a_sweep_without_a_range_is_still_drawn(run):
    (measured,) = run.evidence(LrRange)
    nothing = {"low": None, "high": None, "best": None, "largest_safe": None, "final_loss": ((None,),), "rates": (0.1,)}
    sweep = measured.optimizers["sgd"].model_copy(update=nothing)
    (picture,) = lr_range(LrRange(optimizers={"sgd": sweep}))
    assert not [shape for shape in picture.figure.layout.shapes if shape.type == "rect"]
    assert not [trace.name for trace in picture.figure.data if trace.name]


def test_the_search_draws_every_trial_and_the_better_ones_on_top(run):
    parallel, *scatters = search(run.trials, "validation accuracy", False, run.winner)
    lines = parallel.figure.data[0]
    assert {len(axis["values"]) for axis in lines.dimensions} == {len(run.trials)}
    assert [axis.label for axis in lines.dimensions][:3] == ["optimizer", "lr", "weight_decay"]
    assert list(lines.line.color)[1:] == sorted(lines.line.color)[1:]
    assert sum(len(trace.x) for p in scatters for trace in p.figure.data) == len(run.trials) + 1  # and the ring
    assert len(scatters) == 2


def test_smaller_values_are_the_better_ones_of_a_regression():
    trials = [trial(0, 3.0, lr=0.1), trial(1, 1.0, lr=0.2), trial(2, None, "diverged", lr=9.0)]
    (parallel,) = search(trials, "validation RMSE", True, 1)
    assert list(parallel.figure.data[0].line.color) == [3.0, 3.0, 1.0]
    assert parallel.figure.data[0].dimensions[-1].ticktext[1] == "diverged"


def test_a_search_in_which_all_diverged_has_no_picture():
    assert search([trial(0, None, "diverged", lr=1.0)], "validation accuracy", False, None) == []


def test_a_zero_decay_keeps_a_place_on_the_log_axis():
    trials = [trial(0, 0.5, lr=0.1, weight_decay=0.0), trial(1, 0.6, lr=0.1, weight_decay=1e-3)]
    _, scatter = search(trials, "validation accuracy", False, 1)
    assert "0" in scatter.figure.layout.yaxis.ticktext
    assert np.isfinite([y for trace in scatter.figure.data for y in trace.y]).all()


def test_the_winner_is_thicker_than_the_field_and_not_part_of_it(run):
    (picture,) = field_curves(run.epochs, 7, "accuracy")
    drawn = traces(picture)
    assert drawn["winner, trial 7"].line.width > drawn["other trials"].line.width
    assert "trial 7" not in set(drawn["other trials"].text)


def test_two_evaluations_within_an_epoch_stand_apart(run):
    first = {name: np.concatenate([values, values]) for name, values in run.epochs.items()}
    first["step"] = np.arange(len(first["step"]))
    for picture in [*winner_epochs(first, 7, "accuracy"), *field_curves(first, 7, "accuracy")]:
        winner = picture.figure.data[-1]
        assert picture.figure.layout.xaxis.title.text == "step"
        assert len(set(winner.x)) == len(winner.x)
    assert winner_epochs(run.epochs, 7, "accuracy")[0].figure.layout.xaxis.title.text == "epoch"


def test_a_curve_of_one_point_can_be_seen(run):
    (measured,) = run.evidence(Overfit)
    short = measured.model_copy(
        update={"curve": measured.curve.model_copy(update={"step": (8,), "loss": (0.6,), "metric": (0.9,)})}
    )
    assert all("markers" in trace.mode for picture in overfit(short) for trace in picture.figure.data)


def test_a_long_curve_is_thinned_and_says_so():
    steps = {name: np.arange(1.0, 9001.0) for name in ("step", "lr", "grad_norm", "update_ratio")}
    for picture in winner_steps(steps):
        assert len(picture.figure.data[0].x) <= 2000
        assert "Of every 5 steps one is drawn." in picture.caption


def test_a_winner_without_history_has_no_curves(run):
    assert winner_epochs(run.epochs, 999, "accuracy") == []


def test_confusion_keeps_rows_true_and_survives_more_classes_than_can_be_named():
    few = Evaluation(split="test", task="classification", metric="accuracy", answers={}, confusion=((3, 1), (0, 4)))
    (picture,) = evaluation(few, ("cat", "dog"))
    assert "true cat<br>predicted dog<br>1" in picture.figure.data[0].customdata[0]
    assert picture.figure.layout.yaxis.autorange == "reversed"
    many = few.model_copy(update={"confusion": tuple(map(tuple, np.eye(100, dtype=int).tolist()))})
    (picture,) = evaluation(many, ())
    assert len(picture.figure.layout.xaxis.ticktext) <= 30


def test_a_class_name_is_neutralized_in_ticks_and_hover_boxes():
    measured = Evaluation(split="test", task="classification", metric="accuracy", answers={}, confusion=((1,),))
    (picture,) = evaluation(measured, ("<b>x</b>",))
    assert list(picture.figure.layout.xaxis.ticktext) == ["&lt;b&gt;x&lt;/b&gt;"]
    assert picture.figure.data[0].customdata[0][0].startswith("true &lt;b&gt;x&lt;/b&gt;<br>")


def test_a_reliability_diagram_leaves_out_bins_that_say_nothing(run):
    (picture,) = reliability(run.evaluation.reliability, "test")
    _, best, greedy = picture.figure.data
    assert (best.name, greedy.name) == ("best", "greedy")
    assert min(best.customdata) >= 10
    assert len(best.x) == 11
    assert all(over == pytest.approx(0.06) for over in np.subtract(best.x, best.y))
    assert reliability({}, "test") == []
