"""A model with one thing changed, for experiments made by `Look.remade`; and what layers a model calls.

Layers are what owns a weight and mixes its inputs: linear and convolutional ones.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ravine.randomness import generator

__all__ = [
    "MIXING",
    "NORMS",
    "AveragePooled",
    "called",
    "mixing",
    "set_momentum",
    "thawed",
    "widened",
    "with_activations",
]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
MIXING = (nn.Linear, *CONVOLUTIONS, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CHANNEL = 4  # units that one channel of a convolution stands for when layers are widened
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def mixing(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Linear and convolutional layers by name, in the order they were registered."""
    return [(name, module) for name, module in model.named_modules() if isinstance(module, MIXING)]


def called(model: nn.Module, x: Tensor) -> list[tuple[str, nn.Module, Tensor, Tensor]]:
    """(name, module, input, output) of every module without children that takes and gives a tensor, in the order called."""
    found: list[tuple[str, nn.Module, Tensor, Tensor]] = []

    def listen(name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def hook(module: nn.Module, given: tuple[object, ...], out: object) -> None:
            if given and isinstance(given[0], Tensor) and isinstance(out, Tensor):
                found.append((name, module, given[0], out))

        return hook

    handles = [
        module.register_forward_hook(listen(name))
        for name, module in model.named_modules()
        if not any(True for _ in module.children())
    ]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return found


def with_activations(layers: list[str], model: nn.Module) -> None:
    """A ReLU after each of those layers, in place."""
    for name in layers:
        model.set_submodule(name, nn.Sequential(model.get_submodule(name), nn.ReLU()))


class AveragePooled(TorchFunctionMode):
    """Inside, max pooling takes the mean instead, in modules and functions alike: what is linear otherwise is then linear."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in POOLS:
            given = dict(zip(("input", "kernel_size", "stride", "padding"), args, strict=False)) | (kwargs or {})
            return POOLS[func](
                *(given[name] for name in ("input", "kernel_size", "stride", "padding") if name in given)
            )
        return func(*args, **(kwargs or {}))


POOLS: dict[Any, Any] = {F.max_pool1d: F.avg_pool1d, F.max_pool2d: F.avg_pool2d, F.max_pool3d: F.avg_pool3d}


def thawed(model: nn.Module) -> None:
    """Every parameter wants a gradient, in place."""
    model.requires_grad_(True)


def drawn(model: nn.Module) -> None:
    """Initial weights by each module's own default, in place."""
    for module in model.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()


def noise(p: Tensor, seed: int, purpose: str) -> Tensor:
    """Normal numbers of a parameter's shape and spread; of 0.1 where it has none."""
    size = float(p.std()) if p.numel() > 1 and float(p.std()) > 0 else 0.1
    return (size * torch.randn(p.shape, generator=generator(seed, "noise", purpose))).to(p)


def stir(model: nn.Module, seed: int) -> None:
    """Noise of their own size added to all parameters, in place."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(noise(p, seed, name))


def set_momentum(layers: list[str], momentum: float, model: nn.Module) -> None:
    """The momentum of those batch norm layers, in place."""
    for name in layers:
        model.get_submodule(name).momentum = momentum  # type: ignore[assignment]


def widened(width: int, x: Tensor, model: nn.Module) -> nn.Module | None:
    """The model with hidden layers of `width` units, or a quarter as many channels, at least; a single linear layer gets a hidden one before it.

    x: a few rows, to see what follows what and whether the wider layers still fit together. None where they do not, as where
    layers are added to each other, or where there are parameters of another kind.
    """
    try:
        calls = [(name, module) for name, module, _, _ in called(copy.deepcopy(model).eval(), x)]
    except Exception:
        return None
    layers = [(name, module) for name, module in calls if isinstance(module, (nn.Linear, *CONVOLUTIONS))]
    owners = [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]
    known = {
        id(model.get_submodule(name))
        for name, module in calls
        if isinstance(module, (nn.Linear, *CONVOLUTIONS, *NORMS, nn.LayerNorm))
    }
    if (
        not layers
        or any(id(owner) not in known for owner in owners)
        or any(getattr(m, "groups", 1) != 1 for _, m in layers)
    ):
        return None
    changes = _one(layers[0], width) if len(layers) == 1 else _chain(calls, layers[-1][0], width)
    for name, module in changes.items():
        if not name:
            return module
        model.set_submodule(name, module)
    try:
        with torch.no_grad():
            copy.deepcopy(model).eval()(x)
    except Exception:
        return None
    return model


def _one(layer: tuple[str, nn.Module], width: int) -> dict[str, nn.Module]:
    name, only = layer
    if not isinstance(only, nn.Linear):
        return {}
    return {name: nn.Sequential(nn.Linear(only.in_features, width), nn.ReLU(), nn.Linear(width, only.out_features))}


def _chain(calls: list[tuple[str, nn.Module]], last: str, width: int) -> dict[str, nn.Module]:
    """New layers by name, each taking as many numbers as the one before it now gives."""
    changes: dict[str, nn.Module] = {}
    was = now = 0  # units of the layer before, as it was and as it is
    for name, module in calls:
        if isinstance(module, (nn.Linear, *CONVOLUTIONS)):
            ins, outs = _sizes(module)
            ins = ins * now // was if was else ins  # a flattened image has as many numbers a channel as before
            wide = width if isinstance(module, nn.Linear) else width // CHANNEL
            was, now = outs, outs if name == last else max(outs, wide)
            changes[name] = _resized(module, ins, now)
        elif isinstance(module, NORMS) and was:
            changes[name] = type(module)(now, eps=module.eps, momentum=module.momentum)
        elif isinstance(module, nn.LayerNorm) and was:
            changes[name] = nn.LayerNorm(now)
    return changes


def _sizes(layer: nn.Module) -> tuple[int, int]:
    """Inputs and outputs."""
    assert isinstance(layer.weight, Tensor)
    return layer.weight.shape[1], len(layer.weight)


def _resized(layer: nn.Module, ins: int, outs: int) -> nn.Module:
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        return nn.Linear(ins, outs, bias=bias)
    assert isinstance(layer, CONVOLUTIONS)
    return type(layer)(
        ins,
        outs,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        bias=bias,
    )
