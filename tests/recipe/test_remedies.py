"""Advice names settings, from what they are to what to try, and none that the data or the model cannot use."""

from __future__ import annotations

from ravine.recipe.remedies import against_over_fitting, against_under_fitting
from ravine.training import Setting


def test_what_is_there_is_raised_and_what_is_not_is_named() -> None:
    said = against_over_fitting(
        Setting(weight_decay=1e-3, dropout=0.2), "classification", images=True, has_dropout=True
    )
    assert "--weight-decay 0.01, now 0.001" in said[0]
    assert "--dropout 0.4, now 0.2" in said[0]
    assert all(
        word in said[1] for word in ("--mixup 0.2", "--label-smoothing 0.1", "--flip 0.5", "--crop 2", "--space mixup")
    )


def test_what_is_already_on_is_not_called_untried() -> None:
    said = " ".join(against_over_fitting(Setting(mixup=0.4, crop=2), "classification", images=True, has_dropout=False))
    assert "--mixup" not in said
    assert "--space mixup" not in said
    assert "--crop" not in said
    assert "--dropout" not in said


def test_a_table_of_numbers_is_not_told_to_flip_or_to_smooth_labels() -> None:
    said = " ".join(against_over_fitting(Setting(), "regression", images=False, has_dropout=False))
    assert all(word not in said for word in ("flip", "crop", "cutout", "label-smoothing"))
    assert "--mixup 0.2" in said


def test_under_fitting_lifts_what_holds_the_model_back() -> None:
    assert len(against_under_fitting(Setting())) == 1
    said = against_under_fitting(Setting(dropout=0.5, label_smoothing=0.1))[1]
    assert "--dropout (now 0.5)" in said
    assert "--label-smoothing (now 0.1)" in said
