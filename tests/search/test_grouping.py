"""Structures of a batch: few enough that stacks are full, spread over what is searched, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.search import Choice, Int, structures

SPACE = {"hidden": Int(32, 512, log=True), "depth": Int(1, 4)}


@given(count=st.integers(1, 100), per_group=st.integers(1, 40), seed=st.integers(0, 10))
def test_every_group_is_full_or_there_is_only_one(count: int, per_group: int, seed: int) -> None:
    groups = Counter(tuple(one.items()) for one in structures(SPACE, count, per_group, seed))
    assert sum(groups.values()) == count
    assert len(groups) == max(1, count // per_group)
    assert len(groups) == 1 or min(groups.values()) >= per_group
    assert max(groups.values()) - min(groups.values()) <= 1


def test_they_are_dealt_in_turn_so_that_a_search_cut_short_has_seen_all() -> None:
    found = structures(SPACE, 24, 4, seed=1)
    assert [found.index(one) for one in found] == [i % 6 for i in range(24)]


def test_they_are_spread_over_every_range() -> None:
    found = structures({"hidden": Int(1, 40), "rule": Choice(["a", "b"])}, 16, 4, seed=0)
    assert sorted((one["hidden"] - 1) // 10 for one in found[:4]) == [0, 1, 2, 3]
    assert sorted(one["rule"] for one in found[:4]) == ["a", "a", "b", "b"]


def test_there_are_no_more_than_exist() -> None:
    found = structures({"depth": Int(1, 3), "rule": Choice(["a", "b"])}, 40, 2, seed=0)
    assert len({tuple(one.items()) for one in found}) == 6


def test_the_seed_decides() -> None:
    assert structures(SPACE, 20, 4, seed=1) == structures(SPACE, 20, 4, seed=1)
    assert structures(SPACE, 20, 4, seed=1) != structures(SPACE, 20, 4, seed=2)


@pytest.mark.parametrize("count", [0, 3])
def test_where_nothing_is_structural_every_trial_may_be_stacked(count: int) -> None:
    assert structures({}, count, 4, seed=0) == [{}] * count
