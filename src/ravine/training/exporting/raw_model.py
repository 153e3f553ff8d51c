"""The model as it is exported: raw numbers in, probabilities or numbers in the target's own units out.

The preprocessing becomes part of the graph, in the arithmetic of `ravine.data`: numbers come in as float64 and are
standardized so, for a column of times or of account numbers would lose its differences in float32. What no tensor holds
(texts) comes in as the place of the text in a list; `reading` does that from the description alone.

Letters in shapes: N examples, K columns of a table, P places of a prepared row, C classes.
"""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor, nn

from ravine.data import ArrayPreprocessing, ImagePreprocessing, Preprocessing, TablePreprocessing, Target
from ravine.data.columns import NumericColumn
from ravine.training.ensembles import Ensemble
from ravine.types import Task

__all__ = ["RawModel", "prepares"]


class RawModel(nn.Module):
    """prepare, then the module, then the answer a person wants: probabilities [N, C], or predictions [N].

    An ensemble answers with the mean of its members' answers, by their shares, as `Ensemble` does.
    """

    def __init__(self, module: nn.Module, preprocessing: Preprocessing, task: Task) -> None:
        super().__init__()
        self.prepare = prepares(preprocessing)
        together = module if isinstance(module, Ensemble) else Ensemble([module], task)
        self.members = together.members
        self.shares: Tensor
        shares = together.weights or [1 / len(together)] * len(together)
        self.register_buffer("shares", torch.tensor(shares, dtype=torch.float64))
        self.answer = nn.Softmax(dim=-1) if task == "classification" else Restored(preprocessing.target)

    def forward(self, x: Tensor) -> Tensor:
        prepared = self.prepare(x)
        answers = torch.stack([self.answer(member(prepared)) for member in self.members], dim=-1)
        return answers @ self.shares.to(answers.dtype)


class Restored(nn.Module):
    """Standardized predictions [N, 1] or [N], in the target's own units, [N] float64: a large mean rounds nothing away."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer(
            "mean", torch.tensor(target.mean, dtype=torch.float64)
        )  # ONNX makes float32 of Python's floats
        self.register_buffer("std", torch.tensor(target.std, dtype=torch.float64))

    def forward(self, scaled: Tensor) -> Tensor:
        return scaled.reshape(-1).to(torch.float64) * self.std + self.mean


def prepares(preprocessing: Preprocessing) -> nn.Module:
    """The part of the graph that does what `preprocessing` does to raw examples."""
    assert isinstance(preprocessing, TablePreprocessing | ImagePreprocessing | ArrayPreprocessing)
    match preprocessing:
        case TablePreprocessing():
            return PreparedRows(preprocessing)
        case ImagePreprocessing():
            return PreparedPixels(preprocessing)
        case ArrayPreprocessing():
            return PreparedNumbers(preprocessing)
        case _:
            assert_never(preprocessing)


class PreparedRows(nn.Module):
    """[N, K] float64 to [N, P] float32: every place of the prepared row looks at its column at once.

    A number is filled where it is nan and standardized; a category is 1 in the place of its code. A code that is none of
    its column's (-1, say) goes to the place of the rest, where the column has one.
    """

    def __init__(self, preprocessing: TablePreprocessing) -> None:
        super().__init__()
        column, number, median, mean, std, code, count = [], [], [], [], [], [], []
        for k, each in enumerate(preprocessing.columns):
            numeric = isinstance(each, NumericColumn)
            column += [k] * each.width
            number += [numeric] * each.width
            median += [each.median if isinstance(each, NumericColumn) else 0.0] * each.width
            mean += [each.mean if isinstance(each, NumericColumn) else 0.0] * each.width
            std += [each.std if isinstance(each, NumericColumn) else 1.0] * each.width
            code += list(range(each.width))
            count += [each.width if isinstance(each, NumericColumn) else len(each.categories)] * each.width
        self.column: Tensor
        self.register_buffer("column", torch.tensor(column))
        self.number: Tensor
        self.register_buffer("number", torch.tensor(number))
        doubles = {"median": median, "mean": mean, "std": std, "code": code, "count": count}
        for name, values in doubles.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64))
        self.median: Tensor
        self.mean: Tensor
        self.std: Tensor
        self.code: Tensor  # of the category that a place stands for; `count` is the place of the rest
        self.count: Tensor  # categories that the column lists

    def forward(self, x: Tensor) -> Tensor:
        cells = x.index_select(1, self.column)
        scaled = (torch.where(cells.isnan(), self.median, cells) - self.mean) / self.std
        listed = (cells >= 0) & (cells < self.count)
        hot = torch.where(listed, cells, self.count) == self.code
        return torch.where(self.number, scaled, hot.to(torch.float64)).to(torch.float32)


class PreparedPixels(nn.Module):
    """[N, C, H, W] uint8 to float32, standardized by channel."""

    def __init__(self, preprocessing: ImagePreprocessing) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(preprocessing.mean, dtype=torch.float32)[:, None, None])
        self.std: Tensor
        self.register_buffer("std", torch.tensor(preprocessing.std, dtype=torch.float32)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(torch.float32) / 255 - self.mean) / self.std


class PreparedNumbers(nn.Module):
    """[N, *shape] float64, or uint8 where the model was trained on bytes, to float32: standardized by first index, or as one."""

    def __init__(self, preprocessing: ArrayPreprocessing) -> None:
        super().__init__()
        ones = (1,) * (len(preprocessing.shape) - 1)
        self.unit = 255.0 if preprocessing.pixels else 1.0
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(preprocessing.mean, dtype=torch.float64).reshape(-1, *ones))
        self.std: Tensor
        self.register_buffer("std", torch.tensor(preprocessing.std, dtype=torch.float64).reshape(-1, *ones))

    def forward(self, x: Tensor) -> Tensor:
        return ((x.to(torch.float64) / self.unit - self.mean) / self.std).to(torch.float32)
