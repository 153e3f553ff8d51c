"""What may be compared: trials of one phase at the step that most of them reached."""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from ravine.search import comparable, same_ranges


def trial(
    number: int, values: dict[int, float], *, phase: str = "coarse", given: bool = False, high: float = 1.0
) -> FrozenTrial:
    found = create_trial(
        state=TrialState.PRUNED,
        params={"lr": 0.1 + number / 1000},
        distributions={"lr": FloatDistribution(0, high)},
        intermediate_values=values,
        user_attrs={"phase": phase, **({"given": True} if given else {})},
    )
    found.number = number
    return found


def test_after_halving_all_are_compared_at_the_first_rung() -> None:
    trials = [trial(0, {10: 0.5, 20: 0.9}), trial(1, {10: 0.6}), trial(2, {10: 0.4, 20: 0.8}, given=True), trial(3, {})]
    step, found = comparable(trials, "coarse", maximize=True)
    assert step == 10
    assert [(t.number, t.value, t.worth, t.given) for t in found] == [
        (0, 0.5, 0.5, False),
        (1, 0.6, 0.6, False),
        (2, 0.4, 0.4, True),
    ]


def test_where_all_came_to_the_end_they_are_compared_there() -> None:
    step, found = comparable([trial(i, {10: 0.5, 20: 0.1 * i}) for i in range(3)], "coarse", maximize=False)
    assert step == 20
    assert max(found, key=lambda t: t.worth).number == 0  # the smallest error


def test_phases_are_not_mixed() -> None:
    trials = [trial(0, {10: 0.5}), *(trial(i, {100: 0.9}, phase="refine") for i in (1, 2))]
    assert [t.number for t in comparable(trials, "coarse", maximize=True)[1]] == [0]
    assert comparable(trials, "third", maximize=True) == (None, [])


def test_a_trial_that_diverged_is_the_worst_whichever_way_is_up() -> None:
    for maximize in (True, False):
        _, found = comparable(
            [trial(0, {10: math.nan}), trial(1, {10: math.inf}), trial(2, {10: 9.0})], "coarse", maximize=maximize
        )
        assert [t.value for t in found] == [None, None, 9.0]
        assert [t.worth for t in found][:2] == [-math.inf, -math.inf]


def test_the_largest_group_of_the_same_ranges_is_taken_and_of_equals_the_one_with_the_best() -> None:
    trials = [trial(0, {10: 0.2}), trial(1, {10: 0.3}), trial(2, {10: 0.9}, high=2.0)]
    _, found = comparable(trials, "coarse", maximize=True)
    assert [t.number for t in same_ranges(found)] == [0, 1]
    assert [t.number for t in same_ranges(found[1:])] == [2]
    assert same_ranges([]) == []
