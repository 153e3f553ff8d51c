"""Batch norm over the examples of all processes: the statistics that one process would have of the whole batch.

torch's SyncBatchNorm is for GPUs alone; this is the same on any device.

Letters in shapes: B batch, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["SyncedBatchNorm", "synchronized"]


class SyncedBatchNorm(_BatchNorm):
    """Takes the place of another batch norm: its parameters, buffers and settings, under the same names.

        mean = sum of x / n,  var = sum of (x - mean)^2 / n        over all processes, n entries a channel
        output = (x - mean) / sqrt(var + eps) * weight + bias

    Two sums one after the other, as the difference of two large ones would lose digits. Parts may differ in length.
    Source: Ioffe and Szegedy 2015; across processes as torch.nn.SyncBatchNorm.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(vars(norm))
        self._check_input_dim = norm._check_input_dim  # type: ignore[method-assign]  # of 1, 2 or 3 dimensions

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)  # type: ignore[no-untyped-call]
        wide, dims = x.float(), [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = x.new_full((1,), x.numel() / x.shape[1], dtype=torch.float32)
        totals = _summed(torch.cat([wide.sum(dims), count]))
        n = totals[-1]
        mean = totals[:-1] / n
        centred = wide - mean.view(shape)
        var = _summed(centred.square().sum(dims)) / n
        self._remember(mean.detach(), var.detach() * (n / (n - 1)).detach())
        out: Tensor = centred * torch.rsqrt(var + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor) -> None:
        """Move the running statistics. var: unbiased."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share: Any = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var, share)


class _Summed(torch.autograd.Function):
    """The sum over all processes; what each of their losses says of it comes back summed too."""

    @staticmethod
    def forward(_context: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        dist.all_reduce(total)
        return total


def _summed(tensor: Tensor) -> Tensor:
    return _Summed.apply(tensor)  # type: ignore[no-untyped-call, no-any-return]


def synchronized(module: nn.Module) -> nn.Module:
    """The module with every batch norm in it synchronized, in place; another one only when it is a batch norm itself."""
    if isinstance(module, _BatchNorm):
        return SyncedBatchNorm(module)
    for name, child in module._modules.items():
        if child is not None:
            module._modules[name] = synchronized(child)
    return module
