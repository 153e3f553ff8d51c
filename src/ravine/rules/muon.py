"""Muon: momentum whose matrix is made orthogonal, so that every direction in it steps by the same length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.adam import AdamCoefficients, AdamState, moment_step
from ravine.rules.adamw import AdamW
from ravine.rules.counts import check_count
from ravine.rules.rule import Rule, check_range
from ravine.rules.sides import wide_dtype
from ravine.types import Hyper

__all__ = ["Muon", "MuonState", "orthogonalized"]

AdjustLr = Literal["match_rms_adamw", "original"]

# Jordan's quintic: steep at 0, so that small singular values grow fast, and between 0.7 and 1.2 after 5 steps.
QUINTIC = (3.4445, -4.7750, 2.0315)


class MuonState(NamedTuple):
    """The mean; the second moment where AdamW steps in Muon's place."""

    mean: Tensor  # running mean of gradients, like param
    square: Tensor | None  # running mean of squared gradients, like param; None where Muon steps, not AdamW


class MuonCoefficients(NamedTuple):
    decay: Hyper
    keep: Hyper  # momentum
    take: Hyper  # 1 - momentum
    rate: Hyper
    eps: Hyper
    adamw_decay: Hyper
    adamw_take1: Hyper
    adamw_take2: Hyper
    adamw_rate: Hyper
    adamw_eps: Hyper


@dataclass(frozen=True)
class Muon(Rule):
    """Momentum, orthogonalized by Newton-Schulz; AdamW for what is no matrix.

        mean      <- momentum * mean + (1 - momentum) * grad
        direction <- momentum * mean + (1 - momentum) * grad    (nesterov=True)
        direction <- mean                                       (nesterov=False)
        X         <- direction / max(|direction|, eps)          (transposed when it has more rows than columns)
        X         <- a X + b (X X^T) X + c (X X^T)^2 X          (ns_steps times; a, b, c are ns_coefficients)
        param     <- param - lr * weight_decay * param
        param     <- param - lr * ratio * X
        ratio      = 0.2 * sqrt(max(rows, columns))             (adjust_lr_fn="match_rms_adamw")
        ratio      = sqrt(max(1, rows / columns))               (adjust_lr_fn="original")

    Source: Jordan et al. 2024; match_rms_adamw: Liu et al. 2025. As torch.optim.Muon, but for three things:
    it iterates in bfloat16, we in the parameter's own dtype (float32 at least); its default ratio is the original
    one, ours makes a step as large as AdamW's, so that one lr serves all parameters; and it refuses what is
    no matrix. Here a convolution, [out, in, ...], is the matrix [out, in * ...], and scalars and vectors take
    AdamW at lr * adamw_lr_ratio. Embeddings and output layers are matrices too, yet Jordan gives them to
    AdamW: no rule can tell them from others, so put them in a group with matrix=False.
    Memory: one tensor per parameter, two where AdamW steps.

    >>> rule = Muon(weight_decay=0.0, adjust_lr_fn="original")
    >>> param, grad = torch.zeros(2, 2), torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    >>> rule.update(param, grad, rule.init(param), lr=1.0, step=1)[0].diag().round(decimals=2)
    tensor([-1.1100, -1.1100])
    """

    momentum: Hyper = 0.95  # share of the mean kept each step, in [0, 1)
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = QUINTIC  # a, b, c of the Newton-Schulz quintic
    ns_steps: int = 5  # Newton-Schulz iterations, >= 1
    eps: Hyper = 1e-7  # least norm to divide by, >= 0
    weight_decay: Hyper = 0.1  # decoupled: share of a weight lost per unit of lr, >= 0; AdamW's too
    adjust_lr_fn: AdjustLr = "match_rms_adamw"  # how a matrix's shape scales its rate
    matrix: bool = True  # False: AdamW for matrices as well
    beta1: Hyper = 0.9  # AdamW: share of the mean kept each step, in [0, 1)
    beta2: Hyper = 0.999  # AdamW: share of the mean square kept each step, in [0, 1)
    adamw_eps: Hyper = 1e-8  # AdamW: added to the root, in units of a gradient, >= 0
    adamw_lr_ratio: Hyper = 1.0  # AdamW: its rate over lr, >= 0; 0.015 goes with "original" in Jordan's runs

    elementwise: ClassVar[bool] = False
    decoupled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("Muon", "momentum", self.momentum, 0.0, 1.0)
        check_count("Muon", "ns_steps", self.ns_steps)
        check_range("Muon", "eps", self.eps, 0.0)
        check_range("Muon", "weight_decay", self.weight_decay, 0.0)
        check_range("Muon", "beta1", self.beta1, 0.0, 1.0)
        check_range("Muon", "beta2", self.beta2, 0.0, 1.0)
        check_range("Muon", "adamw_eps", self.adamw_eps, 0.0)
        check_range("Muon", "adamw_lr_ratio", self.adamw_lr_ratio, 0.0)
        if len(self.ns_coefficients) != 3 or not all(math.isfinite(c) for c in self.ns_coefficients):
            raise SettingError(
                f"Muon.ns_coefficients is {self.ns_coefficients!r}; it must be three numbers: write {QUINTIC}."
            )
        if self.adjust_lr_fn not in get_args(AdjustLr):
            known = " or ".join(repr(name) for name in get_args(AdjustLr))
            raise SettingError(f"Muon.adjust_lr_fn is {self.adjust_lr_fn!r}; write {known}.")

    def init(self, param: Tensor) -> MuonState:
        orthogonal = self.matrix and param.ndim >= 2
        return MuonState(torch.zeros_like(param), None if orthogonal else torch.zeros_like(param))

    def coefficients(self, lr: Hyper, step: int) -> MuonCoefficients:
        adamw = AdamW(self.beta1, self.beta2, self.adamw_eps, self.weight_decay)
        other = adamw.coefficients(lr * self.adamw_lr_ratio, step)
        decay = 1 - lr * self.weight_decay
        return MuonCoefficients(decay, self.momentum, 1 - self.momentum, lr, self.eps, *other)

    def apply(self, param: Tensor, grad: Tensor, state: MuonState, by: MuonCoefficients) -> tuple[Tensor, MuonState]:
        if state.square is None:
            return self._matrix_step(param, grad, state, by)
        adamw = AdamCoefficients(by.adamw_decay, by.adamw_take1, by.adamw_take2, by.adamw_rate, by.adamw_eps)
        moved, moments = moment_step(adamw.decay * param, grad, AdamState(state.mean, state.square), adamw)
        return moved, MuonState(moments.mean, moments.square)

    def _matrix_step(
        self, param: Tensor, grad: Tensor, state: MuonState, by: MuonCoefficients
    ) -> tuple[Tensor, MuonState]:
        mean = torch.lerp(state.mean, grad, by.take)
        direction = torch.lerp(grad, mean, by.keep) if self.nesterov else mean
        matrix = direction.flatten(1).to(wide_dtype(param))
        step = self._ratio(*matrix.shape) * orthogonalized(matrix, self.ns_steps, by.eps, self.ns_coefficients)
        return by.decay * param - by.rate * step.to(param.dtype).view(param.shape), MuonState(mean, None)

    def _ratio(self, rows: int, columns: int) -> float:
        """What a matrix's shape makes of lr."""
        if self.adjust_lr_fn == "original":
            return math.sqrt(max(1.0, rows / columns))
        return 0.2 * math.sqrt(max(rows, columns))


def orthogonalized(
    matrix: Tensor, steps: int, eps: Hyper, coefficients: tuple[float, float, float] = QUINTIC
) -> Tensor:
    """About U V^T of a matrix U S V^T: its singular values brought near 1, its singular vectors kept."""
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix  # the product below is then the smaller of the two
    x = x / torch.linalg.vector_norm(x).clamp(min=eps)
    linear, cubic, quintic = coefficients
    for _ in range(steps):
        product = x @ x.T
        x = linear * x + (cubic * product + quintic * product @ product) @ x
    return x.T if tall else x
