"""Which trials a phase asks for: optimizers in turn, structures shared, known settings first."""

from __future__ import annotations

from collections import Counter

import pytest

from ravine.recipe.asking import ask_coarse, ask_refined, best_structures
from ravine.recipe.trials import Search
from ravine.search import Asked, Int, Log, Outcome, Study, Uniform
from ravine.training import Kept, Setting

SPACE = {"lr": Log(1e-4, 0.1), "weight_decay": Log(1e-4, 1.0), "dropout": Uniform(0.0, 0.5)}
WIDE = {**SPACE, "hidden": Int(8, 256, log=True)}


def study(*optimizers: str) -> Study:
    return Study(None, "classification", 0, optimizers)


def searched(asked: list[Asked], spaces: dict, accuracies: list[float]) -> Search:
    outcomes, kept = {}, {}
    for one, accuracy in zip(asked, accuracies, strict=True):
        metrics = {"accuracy": accuracy, "nll": 1 - accuracy}
        outcomes[one.number] = Outcome(one.number, metrics, 10, 1, None)
        kept[one.number] = Kept(one.number, Setting(), 1, 10, metrics, {})
    return Search("coarse", spaces, asked, outcomes, kept)


@pytest.mark.parametrize("known", [True, False])
def test_settings_known_to_be_good_come_first_and_leave_half_of_the_trials_to_chance(known: bool) -> None:
    made = study("adamw", "sgd")
    ask_coarse(made, {"adamw": SPACE, "sgd": SPACE}, range(8), 8, known=known, measured=True, seed=0)
    assert [t.params["optimizer"] for t in made.trials] == ["adamw", "sgd"] * 4
    # two of adamw's and the one of sgd: of eight trials four may be given
    assert ["given" in t.user_attrs for t in made.trials] == [known, known, known, False, False, False, False, False]


def test_known_rates_stand_by_themselves_where_none_were_measured() -> None:
    asked = ask_coarse(study("adamw"), {"adamw": SPACE}, range(4), 4, known=True, measured=False, seed=0)
    assert asked[0].params["lr"] in (3e-3, 9e-4)


def test_structures_leave_every_stack_full_and_all_optimizers_have_the_same() -> None:
    asked = ask_coarse(
        study("adamw", "sgd"), {"adamw": WIDE, "sgd": WIDE}, range(48), 48, known=False, measured=True, seed=0
    )
    stacks = Counter((one.params["optimizer"], one.params["hidden"]) for one in asked)
    assert set(stacks.values()) == {8}
    assert len(stacks) == 6


def test_a_refinement_keeps_to_the_structures_of_the_best_and_begins_with_the_winner() -> None:
    spaces, history = {"adamw": WIDE}, study("adamw")
    asked = ask_coarse(history, spaces, range(24), 24, known=False, measured=True, seed=1)
    widths = [one.params["hidden"] for one in asked]
    good = sorted(set(widths))[0]
    before = searched(asked, spaces, [0.9 if width == good else 0.5 for width in widths])
    assert best_structures(before) == {"adamw": [{"hidden": good}]}
    close = ask_refined(history, spaces, before, 5)
    assert close[0].params == before.ranked[0].params
    assert {one.params["hidden"] for one in close} == {good}
