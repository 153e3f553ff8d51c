"""Spaces: what is no range is refused, regions hold what they were drawn around, ends are recognized."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.errors import SettingError
from ravine.search import (
    KNOWN,
    SEARCHED,
    Choice,
    Log,
    Uniform,
    around,
    capped,
    check_names,
    edge_of,
    parse_space,
    samples,
)

RATES = st.floats(1e-8, 1e3)


@pytest.mark.parametrize("ends", [(0, 1), (-1, 1), (1, 1), (2, 1), (1, math.inf), (math.nan, 1), (1, math.nan)])
def test_a_log_range_needs_two_rising_positive_finite_ends(ends: tuple[float, float]) -> None:
    with pytest.raises(SettingError, match=r"needs 0 < low < high: write Log\("):
        Log(*ends)


@pytest.mark.parametrize("ends", [(1, 1), (1, 0), (-math.inf, 0), (0, math.inf), (math.nan, 1)])
def test_a_uniform_range_needs_two_rising_finite_ends(ends: tuple[float, float]) -> None:
    with pytest.raises(SettingError, match=r"needs low < high: write Uniform\("):
        Uniform(*ends)


def test_a_uniform_range_may_reach_below_zero() -> None:
    assert Uniform(-1, 0) == Uniform(-1.0, 0.0)


def test_an_empty_choice_is_refused() -> None:
    with pytest.raises(SettingError, match="name at least one option"):
        Choice([])


def test_a_choice_from_a_list_equals_one_from_a_tuple() -> None:
    assert Choice(["a", "b"]) == Choice(("a", "b"))
    assert hash(Choice(["a"])) == hash(Choice(("a",)))


def test_names_that_can_be_searched_pass() -> None:
    given = {
        **KNOWN,
        "lr": Log(1, 2),
        "weight_decay": Log(1e-4, 1),
        "crop": Choice([0, 4]),
        "optimizer": Choice(["sgd"]),
    }
    check_names(given)
    assert set(given) == set(SEARCHED)


def test_a_mistyped_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="'wieght_decay' cannot be searched; did you mean weight_decay"):
        check_names({"wieght_decay": Log(1, 2)})


@given(values=st.lists(RATES, min_size=1, max_size=5), margin=st.floats(1.1, 10))
def test_a_log_region_holds_its_values_with_the_margin_on_both_sides(values: list[float], margin: float) -> None:
    region = around(Log(1e-9, 1e4), values, margin)
    assert isinstance(region, Log)
    assert region.low == min(values) / margin
    assert region.high == max(values) * margin


def test_a_log_region_may_extend_beyond_the_old_range() -> None:
    assert around(Log(1e-4, 1e-2), [1e-2], 2.0) == Log(5e-3, 2e-2)


@given(values=st.lists(st.floats(0, 0.5), min_size=1, max_size=5), margin=st.floats(0.1, 10))
def test_a_uniform_region_holds_its_values_and_stays_inside_the_old_range(values: list[float], margin: float) -> None:
    region = around(Uniform(0, 0.5), values, margin)
    assert isinstance(region, Uniform)
    assert 0 <= region.low <= min(values)
    assert max(values) <= region.high <= 0.5


def test_a_uniform_region_is_widened_by_a_tenth_of_the_width_times_the_margin() -> None:
    region = around(Uniform(0, 10), [4, 5], 2.0)
    assert isinstance(region, Uniform)
    assert (region.low, region.high) == (2.0, 7.0)


def test_a_choice_region_is_the_options_that_were_seen_in_their_old_order() -> None:
    assert around(Choice(["a", "b", "c"]), ["c", "a", "c"], 2.0) == Choice(["a", "c"])


@pytest.mark.parametrize(
    ("value", "edge"),
    [(1e-4, "lower"), (1.4e-4, "lower"), (1e-3, None), (0.5e-2, None), (0.9e-2, "upper"), (1, "upper")],
)
def test_an_end_of_a_log_range_is_measured_in_decades(value: float, edge: str | None) -> None:
    assert edge_of(Log(1e-4, 1e-2), value) == edge


@pytest.mark.parametrize(
    ("value", "edge"), [(0.0, "lower"), (0.07, "lower"), (0.09, None), (0.91, None), (0.93, "upper")]
)
def test_an_end_of_a_uniform_range_is_measured_in_its_width(value: float, edge: str | None) -> None:
    assert edge_of(Uniform(0, 1), value) == edge


def test_a_choice_has_no_ends() -> None:
    assert edge_of(Choice([0.0, 0.9]), 0.9) is None


def test_a_space_in_words_is_what_it_would_be_in_python() -> None:
    found = parse_space(["lr=log(1e-4, 1)", "dropout=uniform(0,.5)", "optimizer=sgd, adamw", "crop=0,2,4", "mixup"])
    assert found == {
        "lr": Log(1e-4, 1),
        "dropout": Uniform(0, 0.5),
        "optimizer": Choice(["sgd", "adamw"]),
        "crop": Choice([0, 2, 4]),
        "mixup": KNOWN["mixup"],
    }


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("mixupp", "'mixupp' cannot be searched; did you mean mixup"),
        ("lr", "what to search of lr must be said: write 'lr=log"),
        ("lr=log(1)", "'lr=log\\(1\\)' cannot be read; write NAME=log"),
        ("lr=log(a,b)", "cannot be read"),
        ("lr=", "cannot be read"),
        ("lr=log(1,0.1)", "needs 0 < low < high"),
        ("label_smoothing=log(0.1,5)", "label_smoothing is"),
        ("dropout=uniform(0,2)", "dropout is"),
        ("optimizer=adamv", "optimizer 'adamv' is not known"),
        ("crop=log(1,4)", "crop is 1.0"),
    ],
)
def test_a_word_that_is_no_space_is_refused(word: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        parse_space([word])


@pytest.mark.parametrize("name", KNOWN)
def test_whatever_is_known_is_possible_and_stays_so_when_it_is_widened(name: str) -> None:
    wide = (
        capped(name, Log(KNOWN[name].low / 20, KNOWN[name].high * 20)) if isinstance(KNOWN[name], Log) else KNOWN[name]
    )
    assert len(samples({name: wide})) == 2
