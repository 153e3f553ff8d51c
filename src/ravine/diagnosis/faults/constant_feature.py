"""constant-feature: a column has the same value on all training rows.

Symptom: none at first; dividing by its deviation gives NaN or a huge number, and a row where it differs is answered by a weight
that was never trained.
Why: a column that does not vary says nothing about the target. It is a second bias at best; where its value is large it slows
the descent, for the curvature along it is the square of its size.
Found: columns with the same value on all rows, to rounding. Data whose columns are mostly at one value (borders of images, counts
of rare words) have constant ones by nature: there only those count that lie amid columns that vary, or at a value of their own.
Cure: leave the column out, or mend what should have filled it.
Source: LeCun et al. 1998, efficient backprop, section 4.3; Kuhn & Johnson 2013, applied predictive modeling, section 3.5
(zero-variance predictors).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ravine.diagnosis.case import Case
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (  # a column that told the target and no longer varies leaves nothing to learn
    "unused-parameters",
    "under-fitting",
    "over-fitting",
    "capacity-too-small",
    "dead-units",
    "labels-unrelated",
    "label-noise",
    "too-few-samples",
    "too-few-epochs",
    "lr-too-low",
)

ROWS = 20  # fewer say nothing about whether a column varies
SPARSE = 0.9  # a column with so large a share of one value is nearly constant by nature
MANY = 0.6  # of all columns; MNIST's borders are a quarter of its pixels in 2,000 rows, 0.4 in 200


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    if not case.x.dtype.is_floating_point or len(case.x) < ROWS:
        return
    flat = case.x.flatten(1)
    if not bool(torch.isfinite(flat).all()):
        return
    low, high = flat.min(0).values, flat.max(0).values
    constant = (high - low) <= 1e-5 * torch.maximum(low.abs(), high.abs())
    if not bool(constant.any()) or bool(constant.all()):
        return
    chosen = constant & ~_natural(flat, constant, case.x.shape[1:])
    share = float(constant.float().mean())
    if share > MANY:
        chosen = constant
    if not bool(chosen.any()):
        return
    columns = chosen.nonzero()[:, 0]
    value = float(flat[0, columns].abs().max())
    yield Finding(
        "constant-feature",
        0.8 if case.x.ndim == 2 and not _pictured(case.x.shape[1:]) else 0.7,
        {"columns": columns[:20].tolist(), "count": len(columns), "share": share, "largest_value": value},
        f"column {int(columns[0])}" if len(columns) == 1 else f"{len(columns)} columns",
        f"Leave out column {', '.join(str(int(c)) for c in columns[:5])}{' ...' if len(columns) > 5 else ''}: "
        "it has one value on all training rows; or mend what should have filled it.",
        _left_out(look.case, ~chosen),
    )


def _left_out(case: Case, kept: Tensor) -> dict[str, Any]:
    """The rows without the columns, and a model whose first layer takes the others; {} where that is no plain linear layer."""
    model = case.build()
    layers = [(name, m) for name, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))]
    if case.x.ndim != 2 or not layers or type(layers[0][1]) is not nn.Linear or layers[0][1].in_features != len(kept):
        return {}
    name = layers[0][0]

    def make() -> nn.Module:
        whole = case.build()
        old = whole.get_submodule(name)
        assert isinstance(old, nn.Linear)
        new = nn.Linear(int(kept.sum()), old.out_features, bias=old.bias is not None)
        if not name:
            return new
        whole.set_submodule(name, new)
        return whole

    return {"x": case.x[:, kept], "held_x": case.held_x[:, kept], "make_model": make}


def _natural(flat: Tensor, constant: Tensor, shape: torch.Size) -> Tensor:
    """Constant columns that data of this kind have anyway, [F] bool."""
    usual, share = _commonest(flat)
    sparse = (share > SPARSE) & ~constant
    if int(sparse.sum()) < 2:  # an ordinary table: there are no columns that are nearly constant
        return torch.zeros_like(constant)
    spread = 0.1 * float(flat.std())
    low, high = float(usual[sparse].min()) - spread, float(usual[sparse].max()) + spread
    there = constant & (usual >= low) & (usual <= high)
    picture = _pictured(shape)
    if picture is None:
        return there
    # in a picture, what is constant by nature borders on what is nearly so
    still = (share > 0.8).float().reshape(-1, *picture)
    return there & (_beside(still).flatten() > 0)


def _beside(still: Tensor) -> Tensor:
    """Whether one of the four neighbours is still, [channels, H, W]; the world beyond the edge is."""
    padded = torch.nn.functional.pad(still, (1, 1, 1, 1), value=1.0)
    around = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    return torch.stack(around).max(0).values


def _pictured(shape: torch.Size) -> tuple[int, int] | None:
    """Height and width of an image, laid flat too where the columns make a square of 7 by 7 or more."""
    if len(shape) == 3:
        return shape[1], shape[2]
    side = round(shape[0] ** 0.5) if len(shape) == 1 else 0
    return (side, side) if side >= 7 and side * side == shape[0] else None


def _commonest(flat: Tensor) -> tuple[Tensor, Tensor]:
    """The value that most rows have and their share, by column, [F] each; from the first 1,000 rows."""
    some = flat[:1000]
    usual = some.mode(0).values
    return usual, (some == usual).float().mean(0)
