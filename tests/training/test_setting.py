"""Settings: every refusal names what is wrong, and the rule and schedule are those asked for."""

from __future__ import annotations

import pytest

from ravine.data import Data
from ravine.errors import SettingError
from ravine.models import Model, mlp
from ravine.rules import RULES, SGD, AdamW
from ravine.schedules import SCHEDULES, Warmup
from ravine.training import Run, Setting


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
        ({"optimizer": "sgd", "beta1": 0.9}, "sgd has no beta1; leave it out, or write optimizer adamw"),
        ({"optimizer": "schedule_free_sgd", "beta2": 0.9}, "schedule_free_sgd has no beta2"),
        ({"beta1": 1.0}, "beta1 is 1.0"),
        ({"beta2": -0.1}, "beta2 is -0.1"),
        ({"init_scale": 0.0}, "init_scale is 0.0; it multiplies the initial weights and must be a positive number"),
        ({"init_scale": float("nan")}, "init_scale is nan"),
        ({"init_scale": float("inf")}, "init_scale is inf"),
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


def test_the_betas_of_a_rule_are_its_own_unless_given() -> None:
    assert Setting(beta1=0.8).rule() == AdamW(beta1=0.8, weight_decay=0.0)
    assert Setting(beta1=0.8, beta2=0.95).rule() == AdamW(beta1=0.8, beta2=0.95, weight_decay=0.0)
    assert Setting(optimizer="lion", beta2=0.9).rule() == RULES["lion"](beta2=0.9, weight_decay=0.0)


@pytest.mark.parametrize(
    ("one", "other", "stackable"),
    [
        ({"lr": 1.0, "beta1": 0.5, "weight_decay": 0.1, "init_scale": 2.0}, {"dropout": 0.5, "seed": 4}, True),
        ({"optimizer": "sgd", "momentum": 0.5}, {"optimizer": "sgd", "momentum": 0.9}, True),
        ({"optimizer": "sgd", "momentum": 0.0}, {"optimizer": "sgd", "momentum": 0.9}, False),
        ({"optimizer": "sgd"}, {"optimizer": "adamw"}, False),
        ({"batch_size": 16}, {"batch_size": 32}, False),
        ({"l2": 0.1, "proximal": True}, {"l2": 0.1}, False),
        ({"l2": 0.1, "max_norm": 1.0, "schedule": "linear"}, {"warmup": 0.0}, True),
    ],
)
def test_a_structure_is_what_a_run_can_stack(
    three_classes: Data, one: dict[str, object], other: dict[str, object], stackable: bool
) -> None:
    settings = [Setting(**{"batch_size": 16, **given}) for given in (one, other)]
    assert (settings[0].structure == settings[1].structure) is stackable
    model = Model("mlp", mlp, three_classes.input_shape, three_classes.outputs, {"hidden": (4,), "dropout": 0.1})
    if stackable:
        assert Run(three_classes, model, settings, steps=5).advance(1)
    else:
        with pytest.raises(SettingError):
            Run(three_classes, model, settings, steps=5)


def test_the_data_order_follows_the_seed_unless_it_has_its_own() -> None:
    assert Setting(seed=5).order_seed == 5
    assert Setting(seed=5, order=0).order_seed == 0


def test_hyperparameters_leave_out_what_was_left_to_others() -> None:
    found = Setting(lr=0.5, dropout=0.0).hyperparameters()
    assert found["lr"] == 0.5
    assert found["dropout"] == 0.0
    assert {"momentum", "order"}.isdisjoint(found)
    assert Setting(**found) == Setting(lr=0.5, dropout=0.0)


def test_an_initialization_scale_of_one_is_not_worth_a_word() -> None:
    assert "init_scale" not in Setting().hyperparameters()
    assert Setting(init_scale=0.5, beta1=0.8).hyperparameters().items() >= {"init_scale": 0.5, "beta1": 0.8}.items()
