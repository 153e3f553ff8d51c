"""From trials to runs: one for each structure, each with the model it was built with; what cannot be built is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from ravine.data import Data
from ravine.engines.memory import out_of_memory
from ravine.errors import ModelError, SettingError
from ravine.models.mlp import mlp
from ravine.recipe.runs import Built, make_runs
from ravine.recipe.session import Session
from ravine.search import Asked
from ravine.training import History

Sit = Callable[..., Session]


def built(session: Session, *params: dict[str, Any]) -> Built:
    asked = [Asked(number, {"optimizer": "adamw", "lr": 0.01, **given}) for number, given in enumerate(params)]
    fixed = {"schedule": "constant", "warmup": 0.0}
    return make_runs(session, asked, History(), steps=10, fixed=fixed, every=10)


def test_what_differs_in_structure_goes_to_runs_of_its_own(three_classes: Data, sit: Sit) -> None:
    found = built(
        sit(three_classes),
        {"lr": 0.1},
        {"optimizer": "sgd", "momentum": 0.9},
        {"hidden": 8},
        {"optimizer": "sgd", "momentum": 0.0},
        {"hidden": 8, "lr": 0.2},
        {"l2": 0.1, "proximal": True},
        {"dropout": 0.4, "beta1": 0.5, "init_scale": 2.0},
        {"batch_size": 8},
    )
    assert sorted(run.trials for run in found.runs) == [[0, 6], [1], [2, 4], [3], [5], [7]]
    assert found.lost == {}
    by_trial = {run.trials[0]: run for run in found.runs}
    assert by_trial[2].model_settings == {"hidden": 8}
    assert by_trial[0].model_settings == {"hidden": (16,)}  # that of the session
    assert by_trial[7].batch_size == 8
    assert by_trial[2].population.stack.leaves["1.weight"].shape == (2, 8, 5)
    assert [run.settings[0].seed for run in found.runs] == [run.trials[0] for run in found.runs]


def fragile(shape: tuple[int, ...], outputs: int, *, hidden: int = 4) -> nn.Module:
    assert hidden < 100, "far too wide"
    return mlp(shape, outputs, hidden=hidden, dropout=0.1)


def test_a_trial_whose_model_cannot_be_built_is_lost_and_the_others_are_stacked(three_classes: Data, sit: Sit) -> None:
    found = built(sit(three_classes, fragile), {"hidden": 8}, {"hidden": 200}, {"hidden": 8}, {})
    assert sorted(run.trials for run in found.runs) == [[0, 2], [3]]
    assert found.lost.keys() == {1}
    assert found.lost[1].startswith("raised ModelError: model own failed to build")
    assert "far too wide" in found.lost[1]


def test_a_setting_that_the_group_cannot_take_is_lost_alone(three_classes: Data, sit: Sit) -> None:
    given = {"optimizer": "schedule_free_adamw"}
    found = built(sit(three_classes), given, {**given, "max_norm": 1.0}, given, {"dropout": 2.0})
    assert [run.trials for run in found.runs] == [[0, 2]]
    assert found.lost[1].startswith("raised SettingError: ScheduleFreeAdamW averages its weights on the side")
    assert found.lost[3].startswith("raised SettingError: dropout is 2.0")


def test_where_no_trial_can_be_built_the_reason_is_raised(three_classes: Data, sit: Sit) -> None:
    with pytest.raises(ModelError, match="far too wide"):
        built(sit(three_classes, fragile), {"hidden": 200}, {"hidden": 300})
    with pytest.raises(SettingError, match=r"lr is -1"):
        built(sit(three_classes), {"lr": -1.0})


def test_memory_that_runs_out_while_building_is_no_trials_fault(three_classes: Data, sit: Sit) -> None:
    def huge(shape: tuple[int, ...], outputs: int, *, hidden: int = 4) -> nn.Module:
        if hidden > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return fragile(shape, outputs, hidden=hidden)

    session = sit(three_classes, huge)
    with pytest.raises(ModelError, match="CUDA out of memory") as caught:
        built(session, {"hidden": 8}, {"hidden": 200})
    assert out_of_memory(caught.value)
