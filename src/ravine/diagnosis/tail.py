"""What a model ends in: the form of its outputs, the layer that gives them, and the range they can have.

Letters in shapes: B batch, C classes or outputs.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ravine.diagnosis.case import Case
from ravine.diagnosis.surgery import called, stir
from ravine.diagnosis.trace import outputs
from ravine.randomness import seeded

__all__ = ["Bounds", "Form", "bounds_of", "first_outputs", "form_of", "last_layer", "without"]

Form = Literal["probabilities", "log-probabilities", "numbers"]

ROWS = 128
STRETCHED = (1.0, -1.0, 30.0, -30.0, 1000.0, -1000.0)  # inputs times these drive an output to its ends
EDGES = (-1.0, 0.0, 1.0, 6.0)  # the ends of tanh, ReLU, sigmoid and ReLU6
AT_EDGE = 0.1  # share of outputs exactly at an end; ReLU and tanh give about a half, outputs without an end none


def first_outputs(case: Case, rows: int = ROWS) -> Tensor | None:
    """Outputs of the untrained model in evaluation mode, [B, ...]; None where it raises."""
    try:
        with torch.no_grad(), seeded(case.seed, "start"):
            return outputs(case.build().eval(), case.x[:rows])
    except Exception:
        return None


def form_of(out: Tensor) -> Form:
    """Whether rows of outputs [B, C, ...] add up to 1, as they are or after exp.

    >>> form_of(torch.tensor([[0.25, 0.75]]))
    'probabilities'
    >>> form_of(torch.tensor([[0.25, 0.75]]).log())
    'log-probabilities'
    """
    if out.ndim < 2 or out.shape[1] < 2 or not len(out) or not bool(torch.isfinite(out).all()):
        return "numbers"
    ones = torch.ones_like(out.sum(1))
    if bool((out >= 0).all()) and torch.allclose(out.sum(1), ones, atol=1e-3):
        return "probabilities"
    if bool((out <= 1e-6).all()) and torch.allclose(out.exp().sum(1), ones, atol=1e-3):
        return "log-probabilities"
    return "numbers"


def last_layer(case: Case) -> tuple[str, nn.Module] | None:
    """The module without children that gives the model's outputs, with its name; None where they are made by no module."""
    model, x = case.build().eval(), case.x[:4]
    try:
        calls = called(model, x)
        with torch.no_grad():
            final = model(x)
    except Exception:
        return None
    if not calls or not isinstance(final, Tensor) or not torch.equal(calls[-1][3], final):
        return None
    return calls[-1][0], calls[-1][1]


def without(name: str, model: nn.Module) -> None:
    """A layer taken out of a model, in place."""
    model.set_submodule(name, nn.Identity())


class Bounds(NamedTuple):
    """Ends that outputs cannot pass; infinite where none was met. values: share of outputs at an end."""

    low: float
    high: float
    values: float


def bounds_of(case: Case) -> Bounds:
    """Ends of the model's outputs, found by driving it with inputs up to 1000 times as large, either sign.

    Its weights are stirred, for those of one sign or of nought have ends that training would move.
    """
    free = Bounds(-math.inf, math.inf, 0.0)
    if not case.x.dtype.is_floating_point:
        return free
    model, x = case.build().eval(), torch.nan_to_num(case.x[:ROWS])
    stir(model, case.seed)
    spread = x.std()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)) * (spread if spread > 0 else 1.0)
    try:
        with torch.no_grad(), seeded(case.seed, "start"):
            out = torch.cat([model(scale * part).flatten() for scale in STRETCHED for part in (x, noise)])
    except Exception:
        return free
    out = out[torch.isfinite(out)].float()
    if not len(out):
        return free
    low, low_share = _edge(out, float(out.min()))
    high, high_share = _edge(out, float(out.max()))
    return Bounds(low if low_share else -math.inf, high if high_share else math.inf, low_share + high_share)


def _edge(out: Tensor, end: float) -> tuple[float, float]:
    """The known end that outputs pile up at and their share, or a share of 0."""
    for edge in EDGES:
        if abs(end - edge) < 1e-4:
            share = float((out - edge).abs().lt(1e-4).float().mean())
            return edge, share if share > AT_EDGE else 0.0
    return end, 0.0
