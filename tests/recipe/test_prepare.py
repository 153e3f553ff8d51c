"""From what a person gives to a session: all that cannot be used is said before anything begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ravine.data import Data
from ravine.errors import DataError, ModelError, SettingError
from ravine.models.mlp import mlp
from ravine.recipe.prepare import prepare
from ravine.recipe.session import default_batch_size

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
Y = np.arange(60) % 3


def linear(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Linear(input_shape[0], outputs)


def test_arrays_and_a_name_make_a_session() -> None:
    session = prepare("mlp", (X, Y), settings={"hidden": [8]}, seed=3)
    assert (session.data.task, session.data.outputs, session.seed) == ("classification", 3, 3)
    assert session.parameters == 4 * 8 + 8 + 8 * 3 + 3
    assert session.has_dropout
    assert session.batch_size == 16
    assert session.device.type in ("cpu", "cuda")


def test_data_that_is_ready_is_taken_as_it_is(three_classes: Data) -> None:
    assert prepare(linear, three_classes).data is three_classes


def test_a_factory_is_recorded_by_a_name_it_can_be_found_by(tmp_path: Path) -> None:
    file = tmp_path / "nets.py"
    file.write_text("from torch import nn\ndef net(i, o): return nn.Linear(i[0], o)\n")
    assert prepare(f"{file}:net", (X, Y)).model.name == f"{file.resolve()}:net"
    assert prepare("mlp", (X, Y)).model.name == "mlp"
    assert prepare(mlp, (X, Y)).model.name == "mlp"
    assert prepare(linear, (X, Y)).model.name == f"{linear.__module__}:linear"
    assert prepare(lambda i, o: nn.Linear(i[0], o), (X, Y)).model.name == ""


def test_the_task_can_be_asked_for() -> None:
    assert prepare(linear, (X, np.arange(60.0)), task="regression").data.outputs == 1


def test_a_module_whose_outputs_have_no_gradient_is_refused() -> None:
    class Detached(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).detach()

    with pytest.raises(ModelError, match=r"without a gradient.*detach\(\)"):
        prepare(lambda i, o: Detached(i[0], o), (X, Y))


def test_a_frozen_module_is_refused() -> None:
    with pytest.raises(ModelError, match="requires_grad=False"):
        prepare(lambda i, o: nn.Linear(i[0], o).requires_grad_(False), (X, Y))


def test_checking_a_module_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    prepare(lambda i, o: nn.Sequential(nn.Linear(i[0], o), nn.Dropout(0.5)), (X, Y))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_size_below_one_is_refused(size: int) -> None:
    with pytest.raises(SettingError, match=f"batch_size is {size}; it must be 1 or more"):
        prepare("mlp", (X, Y), batch_size=size)


@pytest.mark.parametrize("device", ["cpux", "cuda:99", "meta:x"])
def test_a_device_that_cannot_be_used_is_refused_in_one_line(device: str) -> None:
    with pytest.raises(SettingError, match="cannot be used") as caught:
        prepare("mlp", (X, Y), device=device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [X, [X, Y], None, (X, Y, Y)])
def test_data_of_another_kind_is_refused(data: object) -> None:
    with pytest.raises(DataError, match="a pair of arrays"):
        prepare("mlp", data)


@pytest.mark.parametrize(
    ("examples", "size"), [(10, 16), (499, 16), (500, 32), (5_000, 64), (20_000, 128), (10**6, 128)]
)
def test_batches_grow_with_the_data(examples: int, size: int) -> None:
    assert default_batch_size(examples) == size


def test_a_model_that_cannot_train_on_its_batch_is_refused() -> None:
    with pytest.raises(ModelError, match=r"cannot train on a batch of shape \(1, 4\): Expected more than 1 value"):
        prepare(
            lambda i, o: nn.Sequential(nn.Linear(i[0], 8), nn.BatchNorm1d(8), nn.Linear(8, o)), (X, Y), batch_size=1
        )


def test_a_trial_of_a_larger_batch_takes_more_memory() -> None:
    small, large = (prepare("mlp", (X, Y), batch_size=size).trial_bytes for size in (2, 32))
    assert small < large
