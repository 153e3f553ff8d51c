"""The sides of a tensor: Shampoo and SOAP keep one square matrix for each axis that is short enough.

A tensor has as many such matrices as it has short axes, while a rule's state has a fixed number of fields.
So the matrices of one parameter lie one after another in a single vector: `pack` and `unpack`.

Letters in shapes: D length of an axis, S numbers in all matrices of one parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import torch
from torch import Tensor

__all__ = ["along_side", "eigh", "gram", "pack", "short_sides", "unpack", "wide_dtype"]


def short_sides(param: Tensor, longest: int) -> list[int]:
    """The axes of a matrix or a larger tensor that are at most `longest` long; a vector has none."""
    return [axis for axis, size in enumerate(param.shape) if param.ndim > 1 and size <= longest]


def gram(tensor: Tensor, axis: int) -> Tensor:
    """Inner products of the slices along an axis, [D, D]: G G^T for a matrix's rows, G^T G for its columns."""
    slices = tensor.movedim(axis, 0).flatten(1)
    return slices @ slices.T


def along_side(tensor: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """The tensor with `matrix`, [D, D], applied to every vector along the axis: M G for rows, G M^T for columns."""
    mixed: Tensor = torch.tensordot(matrix, tensor, dims=([1], [axis]))
    return mixed.movedim(0, axis)


def pack(matrices: Sequence[Tensor]) -> Tensor:
    """Square matrices, one after another, [S]."""
    return torch.cat([matrix.flatten() for matrix in matrices])


def unpack(packed: Tensor, tensor: Tensor, sides: Sequence[int]) -> list[Tensor]:
    """The matrices of these sides of a tensor again."""
    sizes = [tensor.shape[axis] for axis in sides]
    pieces = packed.split([size * size for size in sizes])
    return [piece.view(size, size) for piece, size in zip(pieces, sizes, strict=True)]


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, [D], ascending, and eigenvectors in columns, [D, D], of a symmetric matrix.

    A matrix that is not finite has NaN for both. LAPACK refuses it, and with it the whole batch, where one
    trial's overflow must stay in its trial.
    """
    finite = matrix.isfinite().all()
    values, vectors = torch.linalg.eigh(torch.where(finite, matrix, torch.ones_like(matrix)))
    return torch.where(finite, values, nan), torch.where(finite, vectors, nan)


def wide_dtype(param: Tensor) -> torch.dtype:
    """The dtype for matrices: the parameter's own, but float32 at least, as no eigenvector survives bfloat16."""
    return torch.promote_types(param.dtype, torch.float32)
