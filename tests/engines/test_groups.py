"""Which parameters decay, and the groups made of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine import optim
from ravine.errors import ModelError
from ravine.regularization import decaying


class RMSNorm(nn.Module):
    """A user's own norm, with a matrix for its scale."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, 2))


class Tied(nn.Module):
    """A language model's first and last layer share their matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 9, bias=False)
        self.embed = nn.Embedding(9, 4)
        self.embed.weight = self.head.weight
        self.hidden = nn.Linear(4, 4)


def test_weights_decay_and_biases_norms_and_embeddings_do_not() -> None:
    layers = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2), nn.Embedding(3, 2), RMSNorm()]
    assert decaying(nn.Sequential(*layers)) == {"0.weight", "2.weight"}


def test_a_matrix_shared_with_an_embedding_does_not_decay() -> None:
    assert decaying(Tied()) == {"hidden.weight"}


def test_groups_hold_every_parameter_once_with_its_decay() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), Tied())
    model[0].weight.requires_grad_(False)
    first, second = optim.groups(model, 0.1)
    assert (first["weight_decay"], second["weight_decay"]) == (0.1, 0.0)
    assert {id(p) for p in first["params"]} == {id(model[0].weight), id(model[2].hidden.weight)}
    both = [id(p) for group in (first, second) for p in group["params"]]
    assert sorted(both) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize("kind", [optim.AdamW, torch.optim.AdamW])
def test_an_optimizer_over_groups_shrinks_the_weights_alone(kind: type[torch.optim.Optimizer]) -> None:
    model = nn.Linear(2, 2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = kind(optim.groups(model, 0.5), lr=0.1)
    for param in model.parameters():
        param.grad = torch.zeros_like(param)
    optimizer.step()
    assert torch.allclose(model.weight, 0.95 * before["weight"])
    assert torch.equal(model.bias, before["bias"])


def test_a_group_without_parameters_is_left_out() -> None:
    assert [len(group["params"]) for group in optim.groups(nn.LayerNorm(3), 0.1)] == [2]


@pytest.mark.parametrize(("given", "says"), [([torch.ones(2)], "got a list"), (nn.ReLU(), "ReLU has no parameters")])
def test_what_is_no_model_with_parameters_is_refused(given: object, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        optim.groups(given, 0.1)
