"""The record of a finished search, from the study itself."""

from __future__ import annotations

import json
import math

from ravine.search import Log, Study, Uniform, after_search

SPACE = {"lr": Log(1e-4, 1e-1), "dropout": Uniform(0.0, 0.5)}


def searched(count: int, sampler: str = "random") -> Study:
    """Halving at step 10: the worse half is pruned. The best trial has the highest rate."""
    study = Study(None, "classification", 0, ["adamw"], sampler=sampler)
    asked = [study.ask("adamw", SPACE, "coarse") for _ in range(count)]
    worth = {a.number: 0.5 + 0.1 * math.log10(a.params["lr"]) for a in asked}
    order = sorted(asked, key=lambda a: worth[a.number])
    for i, a in enumerate(order):
        metrics = {"accuracy": worth[a.number], "nll": 1.0}
        study.report(a.number, 10, metrics)
        if i >= count // 2:
            study.report(a.number, 20, metrics)
        study.tell(a.number, metrics, epochs=1, reason=None if i >= count // 2 else "behind at step 10")
    return study


def test_a_search_is_read_at_its_first_rung_and_its_record_is_plain_json() -> None:
    record = after_search(searched(40).trials, "coarse", sampler="random", maximize=True)
    assert (record["phase"], record["step"], record["trials"]) == ("coarse", 10, 40)
    assert record["edges"] == {"lr": "upper"}
    assert record["importance"]["told"] == ["lr"]
    assert len(record["more_trials"]["curve"]) == 40
    assert record["grid_or_random"]["parameters"] == ["lr", "dropout"]
    assert json.loads(json.dumps(record)) == record


def test_a_small_search_or_one_of_another_sampler_says_what_it_cannot_tell() -> None:
    record = after_search(searched(6).trials, "coarse", sampler="random", maximize=True)
    assert not any(record[part]["applies"] for part in ("importance", "more_trials", "grid_or_random"))
    record = after_search(searched(24, "halton").trials, "coarse", sampler="halton", maximize=True)
    assert [record[part]["applies"] for part in ("importance", "more_trials", "grid_or_random")] == [True, False, True]


def test_a_phase_of_which_nothing_came_has_nothing_to_say() -> None:
    record = after_search([], "coarse", sampler="random", maximize=True)
    assert (record["step"], record["trials"], record["edges"]) == (None, 0, {})
