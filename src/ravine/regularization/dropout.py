"""Dropout whose mask is a hash of (seed, step, position) instead of a draw from a global generator.

So a trial meets the same masks alone, in a stack of trials and after its neighbours were dropped. The rate,
the seed and the step are buffers, because `torch.func.stack_module_state` stacks buffers: each trial of a
stack then has its own. They are not persistent: a saved model holds only its weights.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ravine.errors import SettingError
from ravine.randomness import derive
from ravine.regularization.draws import FINEST, keep_mask

__all__ = ["Dropout", "dropouts", "replace_dropout"]

_MOST = 1 - FINEST  # one of 65,536 draws is kept: the largest rate that such draws can tell from 1


class Dropout(nn.Module):
    """Inverted dropout: in training each entry is zeroed with probability p, the rest scaled by 1/(1 - p).

    p is the probability of *dropping*, as in PyTorch; the lecture's p is that of keeping, 1 - p.
    spatial: drop whole channels of [B, C, ...] (Tompson et al. 2015) instead of single entries.
    Source: Srivastava et al. 2014. Raises SettingError unless p lies in [0, 1).
    """

    p: Tensor
    seed: Tensor
    step: Tensor
    idle: bool = False  # an engine that knows p to be 0 says so, and no mask is computed; the result is the same bits

    def __init__(self, p: float = 0.5, *, seed: int = 0, spatial: bool = False) -> None:
        super().__init__()
        self.spatial = spatial
        self.register_buffer("p", torch.tensor(_checked(p)), persistent=False)
        self.register_buffer("seed", torch.tensor(seed), persistent=False)
        self.register_buffer("step", torch.tensor(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.idle or not self.training:
            return x
        shape = torch.Size([*x.shape[:2], *[1] * (x.ndim - 2)]) if self.spatial else x.shape
        scale = 1 / (1 - self.p)
        return x * (keep_mask(shape, self.p, self.seed, self.step) * scale).to(x.dtype)

    def extra_repr(self) -> str:
        return f"p={self.p.flatten().tolist()}, spatial={self.spatial}"


def _checked(p: float) -> float:
    if not 0 <= p <= _MOST:
        raise SettingError(
            f"dropout is {p!r}; it is the probability of dropping and must lie in [0, 1), at most 1 - 2^-16."
        )
    return float(p)


def dropouts(module: nn.Module) -> Iterable[tuple[str, Dropout]]:
    """Every stateless dropout inside a module, with its name."""
    return ((name, child) for name, child in module.named_modules() if isinstance(child, Dropout))


def replace_dropout(module: nn.Module, *, seed: int, p: float | None = None) -> nn.Module:
    """Swap torch's dropout layers for stateless ones, seed each by its name, set their rate when p is given.

    nn.Dropout drops entries, nn.Dropout1d/2d/3d channels; other kinds are left as they are. Changes
    `module` in place and returns it (a new object only when module itself is a dropout layer).
    """
    if isinstance(module, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
        return replace_dropout(_stateless(module), seed=seed, p=p)
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):  # one layer in two places becomes two layers
            if isinstance(child, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
                setattr(parent, name, _stateless(child))
    for name, layer in dropouts(module):
        layer.seed.fill_(derive(seed, "dropout", name))
        if p is not None:
            layer.p.fill_(_checked(p))
    return module


def _stateless(layer: nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d) -> Dropout:
    swapped = Dropout(min(layer.p, _MOST), spatial=not isinstance(layer, nn.Dropout))
    return swapped.train(layer.training)
