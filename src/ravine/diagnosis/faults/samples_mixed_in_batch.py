"""samples-mixed-in-batch: an example's output depends on which others stand in the same batch.

Symptom: scores change with the batch size at prediction, and the same row gets another answer in other company; training may
seem fine, or learns nothing.
Why: a softmax or a norm over dimension 0, a view or reshape that moves numbers from row to row, a recurrent layer that takes the
batch for time, batch norm without running statistics, or inputs centred by the batch at hand.
Found: in evaluation mode one row is kept and all others are exchanged for other rows; its output must stay as it is. The first, the
middle and the last row are kept in turn. Batch norm in training mode is no fault and is not looked at.
Cure: operate along dimension 1 and later ones; flatten(1) instead of reshape; batch_first=True; running statistics.
Source: Karpathy 2019, A recipe for training neural networks ("use backprop to chart dependencies").
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.surgery import NORMS
from ravine.diagnosis.symptoms import SYMPTOMS
from ravine.randomness import seeded

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (*SYMPTOMS, "train-eval-mismatch", "labels-unrelated", "softmax-before-loss", "bounded-output", "wrong-loss")

ROWS = 16
MIXED = 1e-4  # of the outputs' spread over rows; healthy models come to 1e-6 by rounding, and mostly to 0
COPIES = 2


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    if len(case.x) < COPIES * ROWS:
        return
    x = torch.nan_to_num(case.x[: COPIES * ROWS]) if case.x.dtype.is_floating_point else case.x[: COPIES * ROWS]
    try:
        with torch.no_grad():
            model = case.build().eval()
            here, moved = _moved(model, x, case.seed)
    except Exception:
        return
    evidence: dict[str, object] = {"rows": ROWS, "outputs": list(here.shape)}
    if len(here) != ROWS:
        yield _finding(model, 0.95, evidence, "a reshape that changes the number of rows")
        return
    spread = float(here.float().std(0).mean())
    if not spread > 0:
        return
    mixed = moved / spread
    if mixed > MIXED:
        yield _finding(model, 0.97, {**evidence, "change_over_spread": mixed}, "")


def _moved(model: nn.Module, x: Tensor, seed: int) -> tuple[Tensor, float]:
    """Outputs of the first rows, and by how much one of them changes at most when all other rows are exchanged."""

    def run(rows: Tensor) -> Tensor:
        with seeded(seed, "mixed"):  # dropout that is left on draws the same masks
            out = model(rows)
        assert isinstance(out, Tensor)
        return out

    here, most = run(x[:ROWS]), 0.0
    if len(here) != ROWS:
        return here, most
    for kept in (0, ROWS // 2, ROWS - 1):
        others = x[ROWS : 2 * ROWS].clone()
        others[kept] = x[kept]
        most = max(most, float((run(others)[kept] - here[kept]).abs().max()))
    return here, most


def _finding(model: nn.Module, confidence: float, evidence: dict[str, object], where: str) -> Finding:
    bare = [name for name, m in model.named_modules() if isinstance(m, NORMS) and m.running_mean is None]
    advice = (
        f"Give {bare[0]} running statistics: track_running_stats=True."
        if bare
        else "Let nothing work along dimension 0: softmax(dim=1), flatten(1) instead of reshape, batch_first=True."
    )
    return Finding(
        "samples-mixed-in-batch", confidence, evidence, where or (bare[0] if bare else "the forward pass"), advice
    )
