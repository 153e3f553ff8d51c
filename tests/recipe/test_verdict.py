"""A verdict as JSON."""

from __future__ import annotations

import json

from ravine.recipe.verdict import STEPS, Verdict


def test_a_verdict_is_recorded_with_its_evidence_and_advice() -> None:
    verdict = Verdict("overfit", "warn", "Nearly.", {"best": 1}, ("Widen it.",), seconds=2.5)
    assert json.loads(json.dumps(verdict.record())) == {
        "step": "overfit",
        "status": "warn",
        "summary": "Nearly.",
        "evidence": {"best": 1},
        "advice": ["Widen it."],
        "seconds": 2.5,
    }


def test_the_time_taken_is_no_part_of_what_a_verdict_says() -> None:
    assert Verdict("overfit", "pass", "", {}, seconds=1.0) == Verdict("overfit", "pass", "", {}, seconds=2.0)


def test_the_six_steps_stand_in_the_order_of_the_recipe() -> None:
    assert STEPS == ("initial-loss", "overfit", "lr-range", "coarse", "refine", "curves")
