"""Spaces in words: read as they would be written in Python, and refused with the part that is wrong."""

from __future__ import annotations

import pytest

from ravine.errors import SettingError
from ravine.search import KNOWN, Choice, Int, Log, Uniform, parse_space


def test_a_space_in_words_is_what_it_would_be_in_python() -> None:
    words = ["lr=log(1e-4, 1)", "dropout=uniform(0,.5)", "optimizer=sgd, adamw", "crop = int(0,4)", "mixup"]
    assert parse_space(words) == {
        "lr": Log(1e-4, 1),
        "dropout": Uniform(0, 0.5),
        "optimizer": Choice(["sgd", "adamw"]),
        "crop": Int(0, 4),
        "mixup": KNOWN["mixup"],
    }


def test_names_of_the_model_are_read_where_the_model_has_them() -> None:
    words = ["hidden=int(32,512,log)", "depth=1,2,4"]
    assert parse_space(words, ["hidden", "depth"]) == {"hidden": Int(32, 512, log=True), "depth": Choice([1, 2, 4])}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("mixupp", "'mixupp' cannot be searched; did you mean mixup"),
        ("lr", "what to search of lr must be said: write 'lr=log"),
        ("hidden", r"what to search of hidden must be said: write 'hidden=int\(32,512,log\)'"),
        ("hiden=1,2", "'hiden' cannot be searched; did you mean hidden"),
        ("lr=log(1)", "'lr=log\\(1\\)' cannot be read; write NAME=log"),
        ("lr=log(a,1)", r"cannot be read \('a' is no number\)"),
        ("lr=log(1,2,log)", "cannot be read"),
        ("lr=lgo(1,2)", r"cannot be read \('lgo' is no kind of range\)"),
        ("lr=", r"cannot be read \(nothing follows the =\)"),
        ("lr=log(1,0.1)", r"--space 'lr=log\(1,0.1\)': Log\(1.0, 0.1\) is no range"),
        ("lr=log(0,1)", "needs 0 < low < high"),
        ("hidden=int(1,2.5)", r"cannot be read \('2.5' is no whole number\)"),
        ("hidden=int(8,8)", "low < high"),
        ("hidden=int(0,8,log)", "1 <= low < high"),
        ("label_smoothing=log(0.1,5)", "label_smoothing is"),
        ("dropout=uniform(0,2)", "dropout is"),
        ("optimizer=adamv", "optimizer 'adamv' is not known"),
        ("crop=log(1,4)", "crop is 1.0"),
        ("cycles=1,2", "search the schedule too"),
    ],
)
def test_a_word_that_is_no_space_is_refused(word: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        parse_space([word], ["hidden"])
    assert "\n" not in str(caught.value)


def test_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(SettingError, match="'lr' twice"):
        parse_space(["lr=1,2", "lr=log(1,2)"])
