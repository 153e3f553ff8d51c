"""Units of a network that do not answer any more: dead, or saturated; whether the activation is a module or a function.

Letters in shapes: B batch, U units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ravine.diagnosis.look import FIRST, Look
from ravine.diagnosis.trace import BOUNDED, Layer, Trace

__all__ = ["Silent", "dead_units", "saturated_before_training", "saturated_units", "silent_now"]

RECTIFIED = ("ReLU", "ReLU6", "Threshold")
EDGE = 0.03  # of a bounded activation's range at either end, as in `Layer.saturated`
MANY = 0.5  # share of a layer's units; see the faults for their calibration


@dataclass(frozen=True)
class Silent:
    """Shares of a layer's units, or of its values."""

    name: str
    share: float


def dead_units(layers: tuple[Layer, ...]) -> list[Silent]:
    """Of every rectified layer, the share of units that are 0 on every row; a last layer is left out."""
    return [Silent(layer.name, layer.dead) for layer in layers[:-1] if layer.kind in RECTIFIED]


def saturated_units(layers: tuple[Layer, ...]) -> list[Silent]:
    """Of every bounded layer, the share of values at its ends; a last layer is left out, for an answer is to be sure."""
    kinds = {kind.__name__ for kind in BOUNDED}
    return [Silent(layer.name, layer.saturated) for layer in layers[:-1] if layer.kind in kinds]


def silent_now(model: nn.Module, x: Tensor) -> tuple[list[Silent], list[Silent]]:
    """(dead, saturated) by what goes into each Linear or convolution but the first: for activations that are functions."""
    dead: list[Silent] = []
    saturated: list[Silent] = []
    seen: list[str] = []

    def listen(name: str) -> Callable[[nn.Module, tuple[object, ...]], None]:
        def hook(_: nn.Module, given: tuple[object, ...]) -> None:
            value = given[0]
            if isinstance(value, Tensor) and seen and value.ndim > 1:
                units = value.flatten(2).transpose(1, 2).flatten(0, 1) if value.ndim > 2 else value  # [B, U]
                dead.append(Silent(f"input of {name}", float((units == 0).all(0).float().mean())))
                saturated.append(Silent(f"input of {name}", _at_the_ends(units)))
            seen.append(name)

        return hook

    watched = (nn.Linear, nn.modules.conv._ConvNd)
    handles = [m.register_forward_pre_hook(listen(n)) for n, m in model.named_modules() if isinstance(m, watched)]
    try:
        with torch.no_grad():
            model.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
    return dead, saturated


def _at_the_ends(units: Tensor) -> float:
    """The share of values near the ends of [0, 1] or [-1, 1], whichever they fill; 0 for what is not bounded so."""
    low, high = float(units.min()), float(units.max())
    if high > 1 or low < -1 or (units == 0).float().mean() > 0.05:
        return 0.0
    low = 0.0 if low >= 0 else -1.0
    edge = EDGE * (1 - low)
    return float(((units < low + edge) | (units > 1 - edge)).float().mean())


def at_start(look: Look) -> tuple[list[Silent], list[Silent]]:
    """(dead, saturated) of the untrained model."""
    layers = look.first_layers
    return _both(layers, look.case.build(), look.case.x[:FIRST])


def at_end(look: Look, trace: Trace) -> tuple[list[Silent], list[Silent]]:
    """(dead, saturated) of a trained one."""
    assert trace.model is not None
    return _both(trace.last.layers, trace.model, look.case.x[:FIRST])


def _both(layers: tuple[Layer, ...], model: nn.Module, x: Tensor) -> tuple[list[Silent], list[Silent]]:
    dead, saturated = dead_units(layers), saturated_units(layers)
    return (dead, saturated) if dead or saturated else silent_now(model, x)


def saturated_before_training(look: Look) -> bool:
    """Whether most values of some bounded layer are at its ends at the start."""
    return any(one.share > MANY for one in at_start(look)[1])
