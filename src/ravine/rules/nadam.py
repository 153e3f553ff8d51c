"""NAdam: Adam with Nesterov's momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.rules.rule import Rule, check_range
from ravine.types import Hyper

__all__ = ["NAdam", "NAdamState"]


class NAdamState(NamedTuple):
    """The two moments."""

    mean: Tensor  # running mean of gradients, like param
    square: Tensor  # running mean of squared gradients, like param


class NAdamCoefficients(NamedTuple):
    shrink: Hyper  # decoupled decay
    decay: Hyper  # coupled decay
    take1: Hyper  # 1 - beta1
    take2: Hyper  # 1 - beta2
    grad_rate: Hyper  # lr of the present gradient, with the bias correction of the square
    mean_rate: Hyper  # lr of the mean, with the same
    eps: Hyper  # with that of the square


@dataclass(frozen=True)
class NAdam(Rule):
    """Adam that steps along the momentum it is about to have.

        grad    <- grad + weight_decay * param                              (decoupled_weight_decay=False)
        param   <- param - lr * weight_decay * param                        (decoupled_weight_decay=True)
        mean    <- beta1 * mean + (1 - beta1) * grad
        square  <- beta2 * square + (1 - beta2) * grad^2
        mu_i    <- beta1 * (1 - 0.96^(i * momentum_decay) / 2),  i = t and t + 1
        product <- mu_1 * mu_2 * ... * mu_t
        step    <- (1 - mu_t) / (1 - product) * grad + mu_(t+1) / (1 - product * mu_(t+1)) * mean
        param   <- param - lr * step / (sqrt(square / (1 - beta2^t)) + eps)

    Source: Dozat 2016, with the schedule of mu from its section 2.3, as in torch.optim.NAdam.
    Memory: two tensors per parameter. (torch keeps the product as well; here it is worked out from t.)

    >>> rule = NAdam()
    >>> param, grad = torch.tensor([1.0]), torch.tensor([0.5])
    >>> rule.update(param, grad, rule.init(param), lr=0.25, step=1)[0]
    tensor([0.7359])
    """

    beta1: Hyper = 0.9  # the momentum that mu tends to, in [0, 1)
    beta2: Hyper = 0.999  # share of the mean square kept each step, in [0, 1)
    eps: Hyper = 1e-8  # added to the root, in units of a gradient, >= 0
    weight_decay: Hyper = 0.0  # added to the gradient, or a share of a weight lost per unit of lr, >= 0
    momentum_decay: Hyper = 0.004  # how fast mu tends to beta1, >= 0
    decoupled_weight_decay: bool = False  # shrink the weights directly, as AdamW does

    def __post_init__(self) -> None:
        check_range("NAdam", "beta1", self.beta1, 0.0, 1.0)
        check_range("NAdam", "beta2", self.beta2, 0.0, 1.0)
        check_range("NAdam", "eps", self.eps, 0.0)
        check_range("NAdam", "weight_decay", self.weight_decay, 0.0)
        check_range("NAdam", "momentum_decay", self.momentum_decay, 0.0)

    def init(self, param: Tensor) -> NAdamState:
        return NAdamState(torch.zeros_like(param), torch.zeros_like(param))

    def coefficients(self, lr: Hyper, step: int) -> NAdamCoefficients:
        now, then = self.momentum_at(step), self.momentum_at(step + 1)
        product = self.momentum_product(step)
        root = (1 - self.beta2**step) ** 0.5
        return NAdamCoefficients(
            shrink=1 - lr * self.weight_decay if self.decoupled_weight_decay else 1.0,
            decay=0.0 if self.decoupled_weight_decay else self.weight_decay,
            take1=1 - self.beta1,
            take2=1 - self.beta2,
            grad_rate=lr * root * (1 - now) / (1 - product),
            mean_rate=lr * root * then / (1 - product * then),
            eps=self.eps * root,
        )

    def apply(self, param: Tensor, grad: Tensor, state: NAdamState, by: NAdamCoefficients) -> tuple[Tensor, NAdamState]:
        param, grad = by.shrink * param, grad + by.decay * param
        mean = torch.lerp(state.mean, grad, by.take1)
        square = torch.lerp(state.square, grad * grad, by.take2)
        step = by.grad_rate * grad + by.mean_rate * mean
        return param - step / (square.sqrt() + by.eps), NAdamState(mean, square)

    def momentum_at(self, step: int) -> Hyper:
        """The momentum of one step, mu_t."""
        return self.beta1 * (1 - 0.5 * 0.96 ** (step * self.momentum_decay))

    def momentum_product(self, step: int) -> Hyper:
        """The product of mu_1 to mu_t, to double precision in 1 - product: below 1e-20 it is called 0.

        Every mu is below beta1, so beta1^t bounds the product and few factors are ever needed.
        """
        if _largest(self.beta1) ** step < 1e-20:
            return 0.0 * self.beta1
        at = torch.arange(1, step + 1, dtype=torch.float64)
        beta1, decay = (torch.as_tensor(v, dtype=torch.float64) for v in (self.beta1, self.momentum_decay))
        product = (beta1 * (1 - 0.5 * 0.96 ** (at.to(beta1.device) * decay))).prod(-1, keepdim=True)
        per_trial = isinstance(self.beta1, Tensor) or isinstance(self.momentum_decay, Tensor)
        return product if per_trial else product.item()


def _largest(beta: Hyper) -> float:
    return float(beta.max()) if isinstance(beta, Tensor) else beta
