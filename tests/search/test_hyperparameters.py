"""Names: what can be searched, what is possible, and what means something beside what."""

from __future__ import annotations

import pytest

from ravine.errors import SettingError
from ravine.search import KNOWN, SEARCHED, Choice, Int, Log, Uniform, applying, capped, check_names, samples


def test_names_that_can_be_searched_pass() -> None:
    given = {
        **KNOWN,
        "lr": Log(1, 2),
        "weight_decay": Log(1e-4, 1),
        "crop": Choice([0, 4]),
        "optimizer": Choice(["sgd"]),
        "schedule": Choice(["cosine", "warm_restarts"]),
        "cycles": Int(1, 4),
    }
    check_names(given)
    assert set(given) == set(SEARCHED)


def test_a_mistyped_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="'wieght_decay' cannot be searched; did you mean weight_decay"):
        check_names({"wieght_decay": Log(1, 2)})


def test_names_of_the_model_are_searched_where_the_model_has_them() -> None:
    check_names({"hidden": Int(32, 512, log=True)}, structural=["hidden", "depth"])
    with pytest.raises(SettingError, match="'hiden' cannot be searched; did you mean hidden"):
        check_names({"hiden": Int(32, 512, log=True)}, structural=["hidden", "depth"])
    with pytest.raises(SettingError, match="'hidden' cannot be searched"):
        check_names({"hidden": Int(32, 512, log=True)})


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"lr": 0.1}, r"space\['lr'\] is 0.1; write Log"),
        ({"optimizer": Log(1, 2)}, r"write Choice\(\['adamw', 'sgd'\]\)"),
        ({"schedule": Int(1, 2)}, r"write Choice\(\['cosine', 'linear'\]\)"),
        ({"schedule": Choice(["cosin"])}, "did you mean cosine"),
        ({"cycles": Int(1, 3)}, "search the schedule too"),
        ({"cycles": Int(1, 3), "schedule": Choice(["cosine"])}, "search the schedule too"),
        ({"crop": Uniform(0.5, 4)}, "crop is 0.5"),
        ({"init_scale": Uniform(-1, 1)}, "init_scale is -1"),
        ({"beta1": Uniform(0.5, 1.5)}, "beta1"),
    ],
)
def test_what_cannot_be_is_refused(space: dict[str, Log], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        check_names(space)


def test_both_ends_and_every_option_are_tried_and_names_of_the_model_are_not() -> None:
    found = samples({"crop": Int(0, 4), "schedule": Choice(["cosine", "linear"]), "hidden": Int(8, 16)})
    assert [s.crop for s in found[:2]] == [0, 4]
    assert [s.schedule for s in found[2:]] == ["cosine", "linear"]


def test_what_depends_on_another_choice_applies_beside_it_alone() -> None:
    space = {"lr": Log(1, 2), "momentum": Uniform(0, 0.9), "beta2": Uniform(0.9, 0.99), "cycles": Int(1, 3)}
    assert list(applying(space, {"optimizer": "sgd"})) == ["lr", "momentum"]
    assert list(applying(space, {"optimizer": "adamw"})) == ["lr", "beta2"]
    assert list(applying(space, {"optimizer": "adamw", "schedule": "warm_restarts"})) == ["lr", "beta2", "cycles"]


@pytest.mark.parametrize("name", KNOWN)
def test_whatever_is_known_is_possible_and_stays_so_when_it_is_widened(name: str) -> None:
    d = KNOWN[name]
    wide = capped(name, Log(d.low / 20, d.high * 20)) if isinstance(d, Log) else d
    assert len(samples({name: wide})) == 2
