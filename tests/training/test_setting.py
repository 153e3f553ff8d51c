"""Settings: every refusal names what is wrong, and the rule and schedule are those asked for."""

from __future__ import annotations

import pytest

from ravine.errors import SettingError
from ravine.rules import RULES, SGD, AdamW
from ravine.schedules import SCHEDULES, Warmup
from ravine.training import Setting


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optimizer": "adamv"}, "optimizer 'adamv' is not known; did you mean"),
        ({"schedule": "cosin"}, "schedule 'cosin' is not known; did you mean cosine"),
        ({"lr": 0.0}, "lr is 0.0; it must be a positive number"),
        ({"lr": -1.0}, "lr is -1.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr": float("inf")}, "lr is inf"),
        ({"batch_size": 0}, "batch_size is 0; it must be a whole number, 1 or more"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"optimizer": "sgd", "momentum": 1.0}, "momentum is 1.0"),
        ({"optimizer": "adamw", "momentum": 0.9}, "adamw has no momentum; leave it out, or write optimizer sgd"),
        ({"optimizer": "adam", "momentum": 0.9}, "adam has no momentum"),
        ({"warmup": 1.0}, "Warmup.share is 1.0"),
        ({"warmup": -0.1}, "Warmup.share is -0.1"),
        ({"warmup": 5}, "not a number of steps"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_refused_in_one_line(given: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError) as caught:
        Setting(**given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("optimizer", RULES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_rule_and_schedule_can_be_asked_for_by_name(optimizer: str, schedule: str) -> None:
    setting = Setting(optimizer=optimizer, schedule=schedule, weight_decay=0.25)
    assert type(setting.rule()) is RULES[optimizer]
    assert setting.rule().weight_decay == 0.25
    assert setting.shape() == Warmup(body=SCHEDULES[schedule](), share=0.05)
    assert type(Setting(schedule=schedule, warmup=0.0).shape()) is SCHEDULES[schedule]


def test_sgd_is_nesterovs_with_a_momentum_of_nine_tenths_unless_told_otherwise() -> None:
    assert Setting(optimizer="sgd").rule() == SGD(momentum=0.9, nesterov=True)
    assert Setting(optimizer="sgd", momentum=0.5).rule() == SGD(momentum=0.5, nesterov=True)
    assert Setting(optimizer="sgd", momentum=0.0).rule() == SGD()
    assert Setting(optimizer="adamw", weight_decay=0.1).rule() == AdamW(weight_decay=0.1)


def test_the_data_order_follows_the_seed_unless_it_has_its_own() -> None:
    assert Setting(seed=5).order_seed == 5
    assert Setting(seed=5, order=0).order_seed == 0


def test_hyperparameters_leave_out_what_was_left_to_others() -> None:
    found = Setting(lr=0.5, dropout=0.0).hyperparameters()
    assert found["lr"] == 0.5
    assert found["dropout"] == 0.0
    assert {"momentum", "order"}.isdisjoint(found)
    assert Setting(**found) == Setting(lr=0.5, dropout=0.0)
