"""What a penalty or a constraint touches: weights by default, patterns of names otherwise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ravine.errors import SettingError
from ravine.regularization import chosen, decaying


def model() -> nn.Module:
    layers = {
        "embed": nn.Embedding(5, 4),
        "body": nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4)),
        "head": nn.Linear(4, 2),
    }
    return nn.ModuleDict(layers)


WEIGHTS = {"body.0.weight", "body.2.weight", "head.weight"}


def test_the_weights_of_a_module_are_chosen_and_nothing_else() -> None:
    assert chosen(model()).keys() == WEIGHTS == decaying(model())


def test_what_is_chosen_is_the_parameter_itself() -> None:
    made = model()
    assert chosen(made)["head.weight"] is made["head"].weight


def test_of_names_and_tensors_those_of_two_dimensions_are_chosen() -> None:
    named = dict(model().named_parameters())
    assert chosen(named).keys() == WEIGHTS | {"embed.weight"}
    assert chosen(iter(named.items())).keys() == WEIGHTS | {"embed.weight"}


@pytest.mark.parametrize(
    ("include", "exclude", "wanted"),
    [
        ((), ("head.*",), WEIGHTS - {"head.weight"}),
        (("head.*",), (), {"head.weight", "head.bias"}),
        (("body.?.weight",), ("*.1.*",), {"body.0.weight", "body.2.weight"}),
        (("embed.weight", "*.bias"), ("body.[01].*",), {"embed.weight", "body.2.bias", "head.bias"}),
        (["head.bias"], [], {"head.bias"}),
    ],
)
def test_include_replaces_the_weights_and_exclude_takes_away(include: Any, exclude: Any, wanted: set[str]) -> None:
    assert chosen(model(), include, exclude).keys() == wanted


def test_a_frozen_parameter_is_left_out_and_a_plain_tensor_is_not() -> None:
    made = model()
    made["head"].requires_grad_(False)
    assert chosen(made).keys() == WEIGHTS - {"head.weight"}
    assert chosen(made, include=("head.*", "body.0.bias")).keys() == {"body.0.bias"}
    assert chosen({"plain": torch.ones(2, 2)}).keys() == {"plain"}


@pytest.mark.parametrize("role", ["include", "exclude"])
def test_a_pattern_that_matches_nothing_is_named_with_the_nearest(role: str) -> None:
    with pytest.raises(SettingError, match=rf"{role} has the pattern 'haed.weight'.*did you mean head.weight.*\*"):
        chosen(model(), **{role: ("haed.weight",)})


def test_patterns_keep_the_case_of_names() -> None:
    with pytest.raises(SettingError, match=r"Head\.weight"):
        chosen(model(), include=("Head.weight",))


@pytest.mark.parametrize(("given", "cure"), [("head.*", r"include=\('head.\*',\)"), (3, "include="), ([1], "include=")])
def test_patterns_that_are_no_tuple_of_strings_are_refused(given: Any, cure: str) -> None:
    with pytest.raises(SettingError, match=cure):
        chosen(model(), include=given)


def test_a_choice_of_nothing_is_refused() -> None:
    with pytest.raises(SettingError, match="no parameter is left"):
        chosen(model(), exclude=("*",))
    with pytest.raises(SettingError, match="no parameter is left"):
        chosen(nn.LayerNorm(3))


@pytest.mark.parametrize("given", [3, [torch.ones(2, 2)], list(nn.Linear(2, 2).parameters()), {"weight": 1.0}])
def test_parameters_without_names_are_refused(given: Any) -> None:
    with pytest.raises(SettingError, match=r"model.named_parameters\(\)"):
        chosen(given)
