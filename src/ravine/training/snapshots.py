"""The state of a training that is under way, in one file that knows whether it is whole.

A state is what `snapshot` methods give: dictionaries and lists of tensors and plain values. The file is safetensors;
the plain values are JSON in its metadata, and so is a sha256 over them and over every tensor's name, type, shape and
bytes. Nothing is pickled.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ravine.engines.free_memory import free_memory
from ravine.errors import FolderError
from ravine.training.files import check_fits_memory, understood, write_atomically

__all__ = ["State", "moved", "read_snapshot", "write_snapshot"]

State = dict[str, Any]
"""Names (strings) to tensors, plain values, dtypes, and dictionaries and lists of these."""

TENSOR, DTYPE = "#tensor", "#dtype"
"""Keys that stand in the JSON for what is none."""


def write_snapshot(path: Path, state: State) -> None:
    """The file is whole and on the disk when this returns. Raises FolderError when it cannot be written.

    Tuples come back as lists; else `read_snapshot` gives what was written, to the bit.
    """
    tensors: dict[str, Tensor] = {}
    plain = json.dumps(_without_tensors(state, "", tensors))
    _part(tensors)
    metadata = {"plain": plain, "sha256": _digest(plain, tensors)}

    def write(partial: Path) -> None:
        try:
            save_file(tensors, partial, metadata)
        except SafetensorError as error:  # a full disk is hidden in it
            code = re.search(r"os error (\d+)", str(error))
            number = int(code.group(1)) if code else errno.EIO
            raise OSError(number, os.strerror(number)) from error

    write_atomically(path, write)


def read_snapshot(path: Path) -> State:
    """The state that was written, on the CPU. Raises FolderError when the file is missing or not what was written."""
    try:
        check_fits_memory(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    except FolderError:
        raise
    except (OSError, SafetensorError, ValueError) as error:
        raise FolderError(f"{path} is missing or damaged ({' '.join(str(error).split())[:120]}).") from error
    plain = metadata.get("plain", "")
    if metadata.get("sha256") != _digest(plain, tensors):
        raise FolderError(f"{path} is damaged (its checksum is not that of its content).")
    with understood(path):
        return dict(_with_tensors(json.loads(plain), tensors))


def moved(value: Any, device: torch.device) -> Any:
    """A state, or a part of one, with its tensors on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: moved(item, device) for key, item in value.items()}
    return [moved(item, device) for item in value] if isinstance(value, list | tuple) else value


def _without_tensors(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value as JSON; tensors go to `tensors`, and a reference stands where they were."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous()
        reference: dict[str, Any] = {TENSOR: name}
        if not value.is_contiguous() and 0 not in value.stride():
            reference["strides"] = value.stride()  # a matrix product may round by how its operands lie in memory
        return reference
    if isinstance(value, torch.dtype):
        return {DTYPE: str(value).removeprefix("torch.")}
    if isinstance(value, Mapping):
        assert all(isinstance(key, str) for key in value), f"{name} has keys that are no strings"
        return {key: _without_tensors(item, f"{name}/{key}", tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(item, f"{name}/{i}", tensors) for i, item in enumerate(value)]
    return value


def _part(tensors: dict[str, Tensor]) -> None:
    """Give each tensor memory of its own: safetensors refuses two that share."""
    taken: set[int] = set()
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        if place in taken:
            tensors[name] = tensor.clone()
        taken.add(place)


def _with_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_with_tensors(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if TENSOR in value:
        tensor = tensors[value[TENSOR]]
        return _laid_out(tensor, value["strides"]) if "strides" in value else tensor
    if DTYPE in value:
        dtype = getattr(torch, value[DTYPE])
        if not isinstance(dtype, torch.dtype):
            raise TypeError(f"{value[DTYPE]} is no dtype")
        return dtype
    return {key: _with_tensors(item, tensors) for key, item in value.items()}


def _laid_out(tensor: Tensor, strides: Sequence[int]) -> Tensor:
    """The tensor with these strides. ValueError for strides that ask for more memory than is free, or are none of its."""
    span = 1 + sum((size - 1) * abs(stride) for size, stride in zip(tensor.shape, strides, strict=True))
    if span * tensor.element_size() > free_memory(tensor.device):
        raise ValueError(f"strides {strides} take more memory than is free")
    try:
        return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)
    except RuntimeError as error:  # negative, or two elements in one place
        raise ValueError(f"strides {strides} do not lay out {list(tensor.shape)}") from error


def _digest(plain: str, tensors: Mapping[str, Tensor]) -> str:
    """sha256, hexadecimal, over all that a snapshot holds."""
    digest = hashlib.sha256(plain.encode())
    for part in _parts(tensors):
        digest.update(part)
    return digest.hexdigest()


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[Any]:
    for name, tensor in sorted(tensors.items()):
        yield f"{name};{tensor.dtype};{list(tensor.shape)};".encode()
        yield tensor.reshape(-1).view(torch.uint8).numpy().data
