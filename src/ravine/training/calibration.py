"""How far a classifier's probabilities can be taken at their word.

Letters in shapes: N examples, C classes, M bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ravine.errors import InputError
from ravine.training.objective import measure
from ravine.types import Metrics, Task

__all__ = [
    "TEMPERATURES",
    "Reliability",
    "brier_score",
    "expected_calibration_error",
    "fit_temperature",
    "reliability",
    "scores",
]

TEMPERATURES = (1e-3, 1e3)
"""The temperatures looked at: beyond them every answer is certain, or none says anything."""

NEWTON_STEPS = 100  # about 8 are needed; the bracket alone would have halved often enough by then


@dataclass(frozen=True)
class Reliability:
    """The reliability diagram: in each of M bins of confidence, how sure the model was and how often it was right.

    Source: Guo et al. 2017, section 2: bin m holds the confidences in (edge[m], edge[m + 1]]. In an empty bin
    confidence and accuracy are NaN.
    """

    edges: tuple[float, ...]  # M + 1, from 0 to 1, equally wide
    confidence: tuple[float, ...]  # mean of the largest probability, [M]
    accuracy: tuple[float, ...]  # share of 1, [M]
    count: tuple[int, ...]  # examples, [M]

    @property
    def error(self) -> float:
        """The expected calibration error: |accuracy - confidence|, averaged over examples."""
        bins = zip(self.count, self.accuracy, self.confidence, strict=True)
        return math.fsum(n * abs(right - sure) for n, right, sure in bins if n) / sum(self.count)

    def record(self) -> dict[str, Any]:
        """The fields for a JSON file; what is not a number is None."""
        return {
            "edges": list(self.edges),
            "confidence": [value if math.isfinite(value) else None for value in self.confidence],
            "accuracy": [value if math.isfinite(value) else None for value in self.accuracy],
            "count": list(self.count),
        }


@torch.no_grad()
def reliability(probabilities: Tensor, y: Tensor, bins: int = 15) -> Reliability:
    """The reliability diagram of probabilities [N, C] against the true classes y [N], int64.

    Raises InputError when there are no rows, when the shapes do not fit, or for logits instead of probabilities.
    """
    _check(probabilities, y)
    if bins < 1:
        raise InputError(f"bins is {bins}; at least one is needed: write bins=15.")
    sure, named = probabilities.double().max(dim=1)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=sure.device)
    index = torch.bucketize(sure, edges[1:-1])  # a value on an edge belongs to the bin below it
    count = torch.bincount(index, minlength=bins)
    confidence = torch.bincount(index, weights=sure, minlength=bins) / count  # 0 / 0 is NaN: an empty bin
    accuracy = torch.bincount(index, weights=(named == y).double(), minlength=bins) / count
    return Reliability(
        tuple(edges.tolist()), tuple(confidence.tolist()), tuple(accuracy.tolist()), tuple(count.tolist())
    )


def expected_calibration_error(probabilities: Tensor, y: Tensor, bins: int = 15) -> float:
    """How far confidence is from accuracy on average, in [0, 1]; 0 is best.

    Confidence is the largest probability, the bins are equally wide, the distance is absolute. Source: Guo et al.
    2017. torchmetrics closes bins on the left, so the two differ where a confidence lies on an edge, 1 among them.
    Errors as in `reliability`.

    >>> expected_calibration_error(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([0, 1]))
    0.25
    """
    return reliability(probabilities, y, bins).error


@torch.no_grad()
def brier_score(probabilities: Tensor, y: Tensor) -> float:
    """Squared distance of probabilities [N, C] to the truth, summed over classes and averaged over examples.

    In [0, 2]; 0 is best. Source: Brier 1950; for two classes many halve it. Errors as in `reliability`.

    >>> brier_score(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([0, 1]))
    1.25
    """
    _check(probabilities, y)
    truth = F.one_hot(y, probabilities.shape[1])
    return float((probabilities.double() - truth).square().sum(1).mean())


@torch.no_grad()
def fit_temperature(logits: Tensor, y: Tensor) -> float:
    """The T > 0 for which softmax(logits / T) has the least NLL on y [N]; logits or log-probabilities [N, C].

    NLL is convex in 1 / T, so one minimum is found: by Newton's steps inside a bracket, in float64. T lies in
    TEMPERATURES, and is never worse than 1 on these rows. Source: Guo et al. 2017, section 4.2.

    1.0 is returned, which changes nothing, in the two cases where the rows cannot say more: no row is wrong
    (NLL then falls until T is 0, and one mistake on new rows would cost without limit), or the NLL is not finite
    at any T (a logit is NaN or inf, or -inf for the true class). Raises InputError when the shapes do not fit.
    """
    _check_shapes(logits, y)
    z = logits.double() - logits.double().amax(1, keepdim=True)  # [N, C], the largest 0
    own = z.gather(1, y[:, None]).squeeze(1)
    if not bool(own.isfinite().all()) or bool((own == 0).all()):
        return 1.0
    fitted = 1 / _least(z, own)
    return fitted if _nll(z / fitted, y) <= _nll(z, y) else 1.0


def _least(z: Tensor, own: Tensor) -> float:
    """The 1 / T at which the slope of the NLL is zero, or the bound on its side."""
    low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    if _slopes(z, own, low)[0] >= 0:
        return low
    if _slopes(z, own, high)[0] <= 0:
        return high
    point = 1.0
    for _ in range(NEWTON_STEPS):
        slope, curvature = _slopes(z, own, point)
        low, high = (low, point) if slope > 0 else (point, high)
        step = point - slope / curvature if curvature > 0 else math.nan
        new = step if low < step < high else math.sqrt(low * high)
        if abs(new - point) <= 1e-12 * point:
            break
        point = new
    return point


def _slopes(z: Tensor, own: Tensor, inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean NLL with respect to 1 / T."""
    p = torch.softmax(inverse * z, dim=1)
    seen = z.where(p > 0, 0.0)  # a class that is ruled out has p = 0 and z = -inf
    mean = (p * seen).sum(1)
    spread = (p * (seen - mean[:, None]).square()).sum(1)
    return float((mean - own).mean()), float(spread.mean())


def _nll(z: Tensor, y: Tensor) -> float:
    return float(F.cross_entropy(z, y))


@torch.no_grad()
def scores(task: Task, outputs: Tensor, y: Tensor, *, scale: float = 1.0, temperature: float = 1.0) -> Metrics:
    """The figures of one model over a split, y [N].

    Classification takes logits or log-probabilities [N, C], as one model or an Ensemble gives them, and divides
    them by `temperature`: {"accuracy", "nll", "ece", "brier"}. Regression: {"rmse", "r2"}, with `scale` as in
    `measure`. Raises InputError for a temperature that is not positive, or one other than 1 in regression.
    """
    if not (temperature > 0 and math.isfinite(temperature)) or (task == "regression" and temperature != 1):
        raise InputError(
            f"temperature is {temperature!r} for {task}; it must be positive, and 1 in regression, where there are "
            "no probabilities to soften: write temperature=1.0."
        )
    (metrics,) = measure(task, (outputs / temperature).unsqueeze(0), y, scale=scale)
    if task == "regression":
        return metrics
    probabilities = torch.softmax(outputs.double() / temperature, dim=-1)
    return {
        **metrics,
        "ece": expected_calibration_error(probabilities, y),
        "brier": brier_score(probabilities, y),
    }


def _check(probabilities: Tensor, y: Tensor) -> None:
    _check_shapes(probabilities, y)
    slack = 1e-3  # half precision rounds this far
    if bool(((probabilities < -slack) | (probabilities > 1 + slack)).any()):
        raise InputError(
            f"probabilities reach from {float(probabilities.min()):.3g} to {float(probabilities.max()):.3g}; they must "
            "lie in [0, 1]: if these are logits, write torch.softmax(logits, dim=-1)."
        )


def _check_shapes(rows: Tensor, y: Tensor) -> None:
    if rows.ndim != 2 or y.shape != rows.shape[:1] or not len(y):
        raise InputError(
            f"outputs have shape {list(rows.shape)} and y has {list(y.shape)}: give at least one row, "
            "as [N, C] with one class number for each, [N]."
        )
