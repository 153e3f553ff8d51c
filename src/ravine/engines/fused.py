"""Torch's own fused kernels, for the rules that have one: for machines without a C compiler, and for CUDA.

The rule stays the definition, and tests hold every kernel to it. A kernel takes many tensors and one set of
plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from ravine.rules import SGD, Adagrad, Adam, AdamW, Rule

__all__ = ["Kernel", "kernel_of"]

DTYPES = frozenset([torch.float32, torch.float64])

Tensors = list[Tensor]

Kernel = Callable[[Any, Tensors, Tensors, Sequence[Tensors], float, int, bool], None]
"""(rule, params, grads, state, lr, step, maximize) -> None; params and state are changed in place.

state: for each field of the rule's state that is not None, its tensors. step: 1 for the first.
"""


def _sgd(
    rule: Any, params: Tensors, grads: Tensors, state: Sequence[Tensors], lr: float, step: int, maximize: bool
) -> None:
    torch._fused_sgd_(
        params,
        grads,
        state[0] if state else [],
        weight_decay=rule.weight_decay,
        momentum=rule.momentum,
        lr=lr,
        dampening=rule.dampening,
        nesterov=rule.nesterov,
        maximize=maximize,
        is_first_step=step == 1,
    )


def _adam(
    rule: Any, params: Tensors, grads: Tensors, state: Sequence[Tensors], lr: float, step: int, maximize: bool
) -> None:
    kernel = torch._fused_adamw_ if isinstance(rule, AdamW) else torch._fused_adam_
    kernel(
        params,
        grads,
        state[0],
        state[1],
        state[2] if rule.amsgrad else [],
        _counts(params, step),
        lr=lr,
        beta1=rule.beta1,
        beta2=rule.beta2,
        weight_decay=rule.weight_decay,
        eps=rule.eps,
        amsgrad=rule.amsgrad,
        maximize=maximize,
    )


def _adagrad(
    rule: Any, params: Tensors, grads: Tensors, state: Sequence[Tensors], lr: float, step: int, maximize: bool
) -> None:
    torch._fused_adagrad_(
        params,
        grads,
        state[0],
        _counts(params, step),
        lr=lr,
        lr_decay=rule.lr_decay,
        weight_decay=rule.weight_decay,
        eps=rule.eps,
        maximize=maximize,
    )


def _counts(params: Tensors, step: int) -> Tensors:
    """The step as these kernels read it: one scalar for each tensor, which may be the same one."""
    return [torch.tensor(float(step), device=params[0].device)] * len(params)


KERNELS: dict[type[Rule], Kernel] = {
    **({SGD: _sgd} if hasattr(torch, "_fused_sgd_") else {}),
    **({Adagrad: _adagrad} if hasattr(torch, "_fused_adagrad_") else {}),
    **({Adam: _adam, AdamW: _adam} if hasattr(torch, "_fused_adam_") and hasattr(torch, "_fused_adamw_") else {}),
}


def kernel_of(rule: Rule, dtype: torch.dtype, device: torch.device) -> Kernel | None:
    """The kernel for a rule with plain numbers; None where there is none."""
    plain = all(not isinstance(getattr(rule, f.name), Tensor) for f in fields(rule))  # type: ignore[arg-type]
    fits = device.type == "cpu" or (device.type == "cuda" and type(rule) is not Adagrad)  # torch has that on CPU alone
    return KERNELS.get(type(rule)) if plain and fits and dtype in DTYPES else None
