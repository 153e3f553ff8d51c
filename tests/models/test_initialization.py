"""The scale of the initial weights: what it multiplies, what it leaves, and that it reaches every model and trial."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine.data import Data
from ravine.models import MODELS, Model
from ravine.models.initialization import scale_weights
from ravine.training import Run, Setting


def test_matrices_kernels_and_embeddings_are_scaled_and_biases_norms_and_what_is_frozen_are_not() -> None:
    model = nn.Sequential(
        nn.Embedding(5, 4),
        nn.Conv1d(4, 4, 3),
        nn.BatchNorm1d(4),
        nn.Linear(4, 3),
        nn.Linear(3, 2).requires_grad_(False),
    )
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert scale_weights(model, 3.0) is model
    scaled = {name for name, p in model.named_parameters() if torch.equal(p, 3 * before[name]) and before[name].any()}
    same = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    assert scaled == {"0.weight", "1.weight", "3.weight"}
    assert scaled | same == set(before)


def test_a_weight_in_two_places_is_scaled_once() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    before = first.weight.detach().clone()
    scale_weights(nn.Sequential(first, second), 2.0)
    assert torch.equal(first.weight, 2 * before)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_built_with_its_weights_scaled_and_by_one_to_the_bit(name: str) -> None:
    model = Model(name, MODELS[name], (1, 8, 8), 3)
    plain, same, half = (model.build(5, **given).state_dict() for given in ({}, {"scale": 1.0}, {"scale": 0.5}))
    weights = {key for key, value in plain.items() if value.ndim >= 2}
    assert weights
    for key, value in plain.items():
        assert torch.equal(same[key], value)
        assert torch.equal(half[key], value * 0.5 if key in weights else value)


def test_each_trial_of_a_run_has_a_scale_of_its_own(three_classes: Data) -> None:
    model = Model("mlp", MODELS["mlp"], three_classes.input_shape, three_classes.outputs, {"hidden": (4,)})
    settings = [Setting(batch_size=16, init_scale=scale) for scale in (1.0, 2.0, 0.25)]
    weights = Run(three_classes, model, settings, steps=5).population.stack.leaves["1.weight"]
    assert torch.equal(weights[1], 2 * weights[0])
    assert torch.equal(weights[2], weights[0] / 4)
