"""Settings known to be good: inside the space, possible, and relative to the rates of step 3."""

from __future__ import annotations

import pytest

from ravine.search import Choice, Int, Log, Space, Uniform, known_settings
from ravine.training import Setting

SPACE = {"lr": Log(1e-5, 3e-2), "weight_decay": Log(1e-4, 1.0), "dropout": Uniform(0.0, 0.5)}


def test_there_are_five_of_adamw_and_one_of_sgd_and_all_can_be_trained() -> None:
    adamw, sgd = known_settings("adamw", SPACE), known_settings("sgd", {**SPACE, "momentum": Uniform(0.8, 0.99)})
    assert (len(adamw), len(sgd)) == (5, 1)
    assert sgd[0]["momentum"] == 0.9
    for optimizer, found in (("adamw", adamw), ("sgd", sgd)):
        for params in found:
            Setting(optimizer, **params)


def test_rates_are_counted_from_the_largest_good_one() -> None:
    rates = [params["lr"] for params in known_settings("adamw", SPACE)]
    assert max(rates) == pytest.approx(1e-2)  # the upper end is three times that
    wider = [params["lr"] for params in known_settings("adamw", {**SPACE, "lr": Log(1e-5, 3e-1)})]
    assert wider == pytest.approx([10 * rate for rate in rates])


def test_each_is_cut_to_the_space_and_none_comes_twice() -> None:
    narrow = {"lr": Log(2e-2, 3e-2), "weight_decay": Log(0.5, 1.0)}
    assert known_settings("adamw", narrow) == [{"lr": 2e-2, "weight_decay": 0.5}]


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({"schedule": Choice(["cosine", "linear"]), "warmup": Uniform(0, 0.2)}, {"schedule": "cosine", "warmup": 0.1}),
        ({"schedule": Choice(["linear"])}, {}),
        ({"hidden": Int(8, 64), "mixup": Log(0.1, 1)}, {}),
    ],
)
def test_names_of_which_nothing_is_known_are_left_out(space: Space, expected: dict[str, object]) -> None:
    (found,) = known_settings("sgd", {"lr": Log(1e-3, 1), **space})
    assert {name: value for name, value in found.items() if name != "lr"} == expected


def test_where_nothing_is_known_there_is_none() -> None:
    assert known_settings("lion", SPACE) == []
    assert known_settings("adamw", {"weight_decay": Log(1e-4, 1)}) == []
    assert known_settings("adamw", {"lr": Choice([0.1, 0.2])}) == []
