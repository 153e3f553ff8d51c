"""nan-input: some inputs or targets are NaN or infinite.

Symptom: the loss is NaN from the first batch that holds such a row, and every weight with it.
Why: one NaN in a batch makes the sum over the batch NaN, and so the gradient and all parameters after one step.
Found: values are counted that are not finite, in inputs and targets of both splits.
Cure: leave the rows out, or fill each gap with its column's median and add a column that says where the gaps were.
Source: Rubin 1976 (inference and missing data); Little & Rubin 2019 (statistical analysis with missing data), chapter 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ravine.diagnosis.catalogue import CATALOGUE
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look

__all__ = ["EXPLAINS", "find"]

EXPLAINS = tuple(name for name in CATALOGUE if name != "nan-input")


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    parts = {"inputs": case.x, "targets": case.y, "held-out inputs": case.held_x, "held-out targets": case.held_y}
    bad = {name: ~torch.isfinite(part) for name, part in parts.items() if part.dtype.is_floating_point}
    counts = {name: int(mask.sum()) for name, mask in bad.items() if bool(mask.any())}
    if not counts:
        return
    first = next(iter(counts))
    rows = bad[first].flatten(1).any(1) if bad[first].ndim > 1 else bad[first]
    change = _filled(look)
    healed = look.tried(**change) if not look.hurried and change else None
    said = ""
    if healed is not None and healed.finite:
        said = f"filled, the loss stays finite and ends at {healed.tail()[-1]:.3g}"
    yield Finding(
        "nan-input",
        1.0 if first in ("inputs", "targets") else 0.97,
        {
            "values": counts,
            "rows": int(rows.sum()),
            "first_row": int(rows.nonzero()[0]),
            "columns": _columns(bad[first]),
        },
        first,
        f"Fill or leave out the {int(rows.sum())} rows of {first} that are not finite: columns {_columns(bad[first]) or 'all'}.",
        change,
        said,
    )


def _columns(bad: Tensor) -> list[int]:
    """The first ten columns that have gaps."""
    return bad.flatten(1).any(0).nonzero()[:10, 0].tolist() if bad.ndim > 1 else []


def _filled(look: Look) -> dict[str, Any]:
    """Inputs with the median of the column instead of what is not finite; rows whose target is not finite left out."""
    case = look.case
    x, y, held_x, held_y = case.x, case.y, case.held_x, case.held_y
    if x.dtype.is_floating_point:
        flat = torch.where(torch.isfinite(x), x, torch.nan).flatten(1)
        middle = torch.nan_to_num(flat.nanmedian(0).values).reshape(1, *x.shape[1:])
        x, held_x = (torch.where(torch.isfinite(part), part, middle) for part in (x, held_x))
    if y.dtype.is_floating_point:
        kept, held = (torch.isfinite(part).reshape(len(part), -1).all(1) for part in (y, held_y))
        x, y, held_x, held_y = x[kept], y[kept], held_x[held], held_y[held]
    return {"x": x, "y": y, "held_x": held_x, "held_y": held_y} if len(x) > 1 and len(held_x) else {}
