"""What goes from process to process arrives as it was, tensors to the bit and to the stride."""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

from ravine.engines.memory import out_of_memory
from ravine.errors import DataError
from ravine.search.failures import reason_of
from ravine.search.messages import packed, unpacked


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(2.5),
        torch.empty(0, 3),
        torch.randn(3, 4).t(),
        torch.randn(2, 5)[:, 1:4],
        torch.tensor([True, False]),
        torch.randn(4).bfloat16(),
        torch.randn(3, requires_grad=True),
        torch.arange(6, dtype=torch.int64).reshape(2, 3),
    ],
    ids=lambda t: f"{t.dtype}{list(t.shape)}",
)
def test_a_tensor_arrives_with_its_bits_and_strides_and_without_its_graph(tensor: Tensor) -> None:
    found = unpacked(packed({"value": [tensor]}))["value"][0]
    assert (found.dtype, found.shape, found.requires_grad) == (tensor.dtype, tensor.shape, False)
    assert torch.equal(found, tensor.detach())
    assert tensor.is_contiguous() or found.stride() in (tensor.stride(), (4, 1), (1, 4), (3, 1))
    found.zero_() if found.numel() else None  # its memory is its own, and may be written
    assert tensor.numel() == 0 or not torch.equal(found, tensor.detach()) or not tensor.any()


def test_a_matrix_that_lies_in_columns_still_does() -> None:
    assert unpacked(packed(torch.randn(3, 4).t())).stride() == (1, 4)


def test_no_file_stays_open() -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    kept = [unpacked(packed(torch.randn(1000))) for _ in range(20)]
    assert not before or len(os.listdir("/proc/self/fd")) == before
    assert len(kept) == 20


def test_an_exception_says_what_it_said_whatever_its_class_needs() -> None:
    class OddError(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")
            self.lock = lambda: None

    error = OddError(1, 2)
    error.add_note("seen at home")
    found = unpacked(packed(error))
    assert reason_of(found) == reason_of(error) == "raised OddError: 1 and 2"
    assert found.__notes__ == ["seen at home"]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: not enough memory")]
)
def test_memory_that_ran_out_is_still_known_as_such(error: Exception) -> None:
    assert out_of_memory(unpacked(packed(error)))


def test_what_was_asked_wrongly_keeps_its_class() -> None:
    assert type(unpacked(packed(DataError("no such file")))) is DataError
