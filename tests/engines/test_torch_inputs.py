"""What a torch optimizer refuses, and how it says so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ravine import optim, rules
from ravine.errors import SettingError

EVERY = [optim.SGD, optim.Adam, optim.AdamW, lambda params, **more: optim.RuleOptimizer(params, rules.Adam(), **more)]
every_face = pytest.mark.parametrize("face", EVERY, ids=["sgd", "adam", "adamw", "a rule"])


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.ones(2))


@every_face
@pytest.mark.parametrize("lr", [-0.1, float("nan"), float("inf"), "0.1", None, torch.tensor(-1.0)], ids=str)
def test_a_rate_that_is_no_rate_is_refused_in_one_line(face: Any, lr: Any) -> None:
    with pytest.raises(SettingError, match=r"lr is .*; it must be one number, 0 or more: write lr=0\.001") as caught:
        face([parameter()], lr=lr)
    assert "\n" not in str(caught.value)


@every_face
def test_a_bad_default_is_refused_even_where_every_group_has_its_own(face: Any) -> None:
    with pytest.raises(SettingError, match="lr is -1"):
        face([{"params": [parameter()], "lr": 0.1}], lr=-1)


@every_face
def test_a_rate_per_trial_is_sent_to_the_population(face: Any) -> None:
    with pytest.raises(SettingError, match=r"lr has shape \[3\].*Population"):
        face([parameter()], lr=torch.full((3,), 0.1))


@pytest.mark.parametrize("face", [optim.Adam, optim.AdamW])
@pytest.mark.parametrize("bad", [1.0, -0.1, float("nan"), "0.9"], ids=str)
def test_a_beta_outside_0_to_1_is_refused_by_name(face: Any, bad: Any) -> None:
    with pytest.raises(SettingError, match=r"beta1 is .*\[0, 1\)"):
        face([parameter()], betas=(bad, 0.999))
    with pytest.raises(SettingError, match=r"beta2 is .*\[0, 1\)"):
        face([parameter()], betas=(0.9, bad))


@pytest.mark.parametrize("betas", [0.9, (0.9,), (0.9, 0.99, 0.999), None], ids=str)
def test_betas_that_are_no_pair_are_refused(betas: Any) -> None:
    with pytest.raises(SettingError, match=r"betas is .*write betas=\(0\.9, 0\.999\)"):
        optim.Adam([parameter()], betas=betas)


@every_face
@pytest.mark.parametrize("params", [[], iter(())], ids=["list", "generator"])
def test_an_empty_list_of_parameters_is_refused(face: Any, params: Any) -> None:
    with pytest.raises(SettingError, match="empty list of parameters"):
        face(params)


@every_face
@pytest.mark.parametrize("params", [torch.ones(2), nn.Linear(1, 1), nn.Sequential(), {"params": []}, 3], ids=str)
def test_parameters_that_are_no_list_are_refused(face: Any, params: Any) -> None:
    with pytest.raises(SettingError, match=r"it needs a list of parameters.*model\.parameters\(\)"):
        face(params)


@every_face
def test_a_misspelled_setting_of_a_group_is_refused_with_its_right_name(face: Any) -> None:
    with pytest.raises(SettingError, match="'weight_decy'; it must be spelled 'weight_decay'"):
        face([{"params": [parameter()], "weight_decy": 0.1}])
    optimizer = face([parameter()])
    with pytest.raises(SettingError, match="weight_decay"):
        optimizer.add_param_group({"params": [parameter()], "weight_decy": 0.1})
    assert len(optimizer.param_groups) == 1


@every_face
def test_a_users_own_note_in_a_group_is_kept(face: Any) -> None:
    optimizer = face([{"params": [parameter()], "name": "head", "initial_lr": 0.1, "max_momentum": 0.9}])
    assert optimizer.param_groups[0]["name"] == "head"
    assert optimizer.state_dict()["param_groups"][0]["initial_lr"] == 0.1


@every_face
def test_an_unknown_argument_is_refused(face: Any) -> None:
    with pytest.raises(SettingError, match="has no option 'maximise'; did you mean maximize"):
        face([parameter()], maximise=True)


@every_face
def test_a_parameter_given_twice_is_refused(face: Any) -> None:
    one, other = parameter(), parameter()
    for twice in ([one, other, one], iter([one, one]), [{"params": [one]}, {"params": [other, one]}]):
        with pytest.raises(SettingError, match="a second time; each is stepped once"):
            face(twice)
    optimizer = face([one])
    with pytest.raises(SettingError, match="a second time"):
        optimizer.add_param_group({"params": one})
    assert len(optimizer.param_groups) == 1


@every_face
def test_a_bad_rate_in_one_group_is_refused_and_nothing_is_added(face: Any) -> None:
    optimizer = face([parameter()])
    with pytest.raises(SettingError, match="lr is -1"):
        optimizer.add_param_group({"params": [parameter()], "lr": -1})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("face", [optim.SGD, optim.Adam, optim.AdamW])
def test_differentiable_is_refused_with_the_way_out(face: Any) -> None:
    with pytest.raises(SettingError, match=r"differentiable=True.*`update`"):
        face([parameter()], differentiable=True)


@every_face
def test_a_sparse_gradient_is_refused_before_any_parameter_moves(face: Any) -> None:
    dense, table = parameter(), nn.Embedding(4, 2, sparse=True)
    optimizer = face([{"params": [dense]}, {"params": table.parameters()}])
    (table(torch.tensor([1])).sum() + dense.sum()).backward()
    with pytest.raises(SettingError, match=r"shape \[4, 2\] is sparse.*sparse=False"):
        optimizer.step()
    assert dense.tolist() == [1.0, 1.0]


@every_face
def test_a_state_that_is_none_is_refused_and_changes_nothing(face: Any) -> None:
    optimizer = face([parameter()], lr=0.25)
    good = optimizer.state_dict()
    with pytest.raises(SettingError, match=r"keys \['model', 'optimizer'\]"):
        optimizer.load_state_dict({"model": {}, "optimizer": good})
    bad = {"state": {}, "param_groups": [{**good["param_groups"][0], "weight_decay": -1.0}]}
    with pytest.raises(SettingError, match="weight_decay is -1"):
        optimizer.load_state_dict(bad)
    assert optimizer.state_dict() == good
