"""A session on tiny data: what every step of the recipe is given."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ravine.data import Data
from ravine.models import Model
from ravine.models.mlp import mlp
from ravine.recipe.session import Session

Sit = Callable[..., Session]


@pytest.fixture
def sit() -> Sit:
    """(data, factory, **settings) -> a session with batches of 16; a small network when no factory is given."""

    def sit(data: Data, factory: Callable[..., object] = mlp, **settings: object) -> Session:
        given = settings or ({"hidden": (16,)} if factory is mlp else {})
        return Session(data, Model("own", factory, data.input_shape, data.outputs, given), 0, 16)  # type: ignore[arg-type]

    return sit
