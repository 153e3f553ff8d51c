"""Values on their way from one process to another of the same machine, as plain bytes.

What multiprocessing sends of a tensor is a handle of shared memory, a file that stays open as long as the tensor lives.
Here a tensor is its bytes and how they lie. An exception arrives under its own name and says the same, whatever
the class needs to be made.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch
from torch import Tensor

from ravine.engines.memory import out_of_memory
from ravine.errors import InputError

__all__ = ["packed", "unpacked"]


def packed(value: Any) -> bytes:
    """The value as bytes for `unpacked`. Tensors lose their graph and their sharing of memory, and arrive on the CPU.

    >>> unpacked(packed({"grad": torch.ones(2), "error": ArithmeticError("too high")}))
    {'grad': tensor([1., 1.]), 'error': ArithmeticError('too high')}
    """
    room = io.BytesIO()
    _Pickler(room, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return room.getvalue()


def unpacked(message: bytes) -> Any:
    """What `packed` was given. For messages of our own processes alone: it runs what they hold."""
    return pickle.loads(message)  # noqa: S301


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            dense = value.detach().cpu().contiguous()
            own = None if value.is_contiguous() or 0 in value.stride() else value.stride()
            return _tensor, (value.dtype, tuple(value.shape), own, dense.view(-1).view(torch.uint8).numpy().tobytes())
        if isinstance(value, Exception) and out_of_memory(value):
            return MemoryError, (str(value),)
        if isinstance(value, Exception) and not isinstance(value, InputError):
            return _error, (type(value).__name__, str(value), getattr(value, "__notes__", []))
        return NotImplemented


def _tensor(dtype: torch.dtype, shape: tuple[int, ...], strides: tuple[int, ...] | None, content: bytes) -> Tensor:
    dense = torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)
    if strides is None:
        return dense.view(shape)
    return torch.empty_strided(shape, strides, dtype=dtype).copy_(dense.view(shape))  # as in `read_snapshot`


def _error(name: str, said: str, notes: list[str]) -> Exception:
    found: Exception = type(name, (Exception,), {})(said)
    for note in notes:
        found.add_note(note)
    return found
