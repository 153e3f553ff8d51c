"""Packing: every parameter finds its place in a row, and those that decay come first."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine.engines import Layout
from ravine.errors import ModelError


class Odd(nn.Module):
    """A scalar, an empty parameter, a vector and two matrices, one of them frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.scalar = nn.Parameter(torch.tensor(2.0))
        self.matrix = nn.Parameter(torch.ones(3, 4))
        self.empty = nn.Parameter(torch.ones(0, 3))
        self.vector = nn.Parameter(torch.ones(5))
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def test_parameters_that_decay_come_first_and_frozen_ones_not_at_all() -> None:
    layout = Layout.of(Odd())
    assert list(layout.shapes) == ["matrix", "empty", "scalar", "vector"]
    assert (layout.decayed, layout.size) == (12, 18)


def test_views_cover_a_row_once_and_share_its_memory() -> None:
    layout = Layout.of(Odd())
    flat = torch.arange(2 * 18.0).view(2, 18)
    views = layout.views(flat)
    assert {name: tuple(view.shape) for name, view in views.items()} == {
        name: (2, *shape) for name, shape in layout.shapes.items()
    }
    assert torch.equal(torch.cat([view.reshape(2, -1) for view in views.values()], dim=1), flat)
    views["matrix"].zero_()
    assert flat[:, :12].eq(0).all()
    assert {name: view.shape for name, view in layout.views(flat[0]).items()} == layout.shapes


def test_two_dtypes_are_refused_with_both_named() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).double())
    with pytest.raises(ModelError, match=r"torch\.float32, torch\.float64"):
        Layout.of(model)


def test_a_model_with_nothing_to_train_is_refused() -> None:
    with pytest.raises(ModelError, match=r"dtype none.*requires_grad=True"):
        Layout.of(nn.ReLU())
