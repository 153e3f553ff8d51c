"""From a model as its author wrote it to one whose random layers are stateless, seeded and set."""

from __future__ import annotations

from torch import nn

from ravine.errors import SettingError
from ravine.randomness import derive
from ravine.regularization.dropout import Dropout, SpatialDropout, dropouts
from ravine.regularization.noise import HIGHEST, checked_rate, noises
from ravine.regularization.stochastic_depth import StochasticDepth

__all__ = ["replace_dropout"]

_Torchs = nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d


def replace_dropout(module: nn.Module, *, seed: int, p: float | None = None, depth: float | None = None) -> nn.Module:
    """Swap torch's dropout layers for stateless ones, seed every random layer by its name, set rates where given.

    nn.Dropout drops entries, nn.Dropout1d/2d/3d channels; other kinds are left as they are.
    p: the rate of every dropout layer; layers of other kinds keep their own.
    depth: the rate of the last StochasticDepth layer; layer l of L, in the order of `named_modules`, gets
        depth * l / L (Huang et al. 2016).
    Changes `module` in place and returns it (a new object only when module itself is a dropout layer). Raises
    SettingError for a rate outside [0, 1), and for a depth when no layer can take it.
    """
    module = _swapped(module)
    for name, layer in noises(module):
        layer.seed.fill_(derive(seed, "dropout", name))
    if p is not None:
        for _, dropout in dropouts(module):
            dropout.set_rate(checked_rate("dropout is", p))
    if depth is not None:
        _set_depth(module, checked_rate("depth is", depth))
    return module


def _set_depth(module: nn.Module, depth: float) -> None:
    """Rates that rise in a straight line from depth / L at the first layer to depth at the last."""
    layers = [layer for _, layer in noises(module) if isinstance(layer, StochasticDepth)]
    if not layers:
        raise SettingError(
            f"depth is {depth!r}, but the model has no StochasticDepth layer to take it: put "
            "ravine.regularization.StochasticDepth on the output of its residual branches, or leave depth out."
        )
    for number, layer in enumerate(layers, start=1):
        layer.set_rate(depth * number / len(layers))


def _swapped(module: nn.Module) -> nn.Module:
    if isinstance(module, _Torchs):
        return _stateless(module)
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):  # one layer in two places becomes two layers
            if isinstance(child, _Torchs):
                setattr(parent, name, _stateless(child))
    return module


def _stateless(layer: _Torchs) -> Dropout | SpatialDropout:
    kind = Dropout if isinstance(layer, nn.Dropout) else SpatialDropout
    return kind(min(layer.p, HIGHEST)).train(layer.training)
