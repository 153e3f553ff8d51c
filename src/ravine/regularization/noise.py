"""What every layer that drops at random shares: a mask that is a hash of (seed, step, position).

So a trial meets the same masks alone, in a stack of trials and after its neighbours were dropped. The rate,
the seed and the step are buffers, because `torch.func.stack_module_state` stacks buffers: each trial of a
stack then has its own. They are not persistent: a saved model holds only its weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ravine.errors import SettingError
from ravine.regularization.draws import FINEST, keep_mask

__all__ = ["HIGHEST", "Noise", "checked_rate", "noises", "set_rows", "set_step"]

HIGHEST = 1 - FINEST
"""The largest rate that 16-bit draws can tell from 1: one of 65,536 entries is kept."""


class Noise(nn.Module):
    """The base of a layer that drops with probability p in training.

    p: a number in [0, HIGHEST], else SettingError. seed: of the masks; `replace_dropout` derives it from the
    layer's name. Further arguments go to the module that a subclass puts beside this one.

    Whether a layer drops is its own `training` flag. A mask is fixed by (seed, step) and the shape, so a layer
    that is called twice within one step drops the same positions both times: give each place a layer of its own.
    """

    p: Tensor  # [], or [K] in a stack; so are seed and step
    seed: Tensor
    step: Tensor
    rows: tuple[int, int] | None = (
        None  # (first, count): the part of a batch that a forward is given; None is all of it
    )
    idle: bool = False  # an engine that knows p to be 0 says so, and no mask is computed; the result is the same bits

    def __init__(self, p: float, seed: int, *beside: Any, **named: Any) -> None:
        super().__init__(*beside, **named)
        self.register_buffer("p", torch.tensor(checked_rate(f"{type(self).__name__} has p =", p)), persistent=False)
        self.register_buffer("seed", torch.tensor(seed), persistent=False)
        self.register_buffer("step", torch.tensor(0), persistent=False)

    @property
    def resting(self) -> bool:
        """Nothing is dropped now: the layer is in evaluation, or idle."""
        return self.idle or not self.training

    @torch.no_grad()
    def set_rate(self, p: float) -> None:
        """Drop with another probability from now on. Raises SettingError outside [0, HIGHEST]."""
        self.p.fill_(checked_rate(f"{type(self).__name__} has p =", p))
        self.idle = False

    def keeps(self, shape: Sequence[int]) -> Tensor:
        """Which entries survive this step, bool of `shape`."""
        return keep_mask(shape, self.p, self.seed, self.step, first=self.before(shape))

    def before(self, shape: Sequence[int]) -> int:
        """How many entries of the whole batch's mask come before this part's, of `shape`: its examples stand in rows."""
        if self.rows is None:
            return 0
        first, count = self.rows
        return first * (math.prod(shape) // count)

    def dropped(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """Set to 0 what the mask drops and scale the rest of x by 1/(1 - p), so that the mean over masks is x.

        shape: of the mask; it broadcasts with x.
        """
        scale = (1 / (1 - self.p.double())).to(x.dtype)  # a model in bfloat16 would round 1 - p to 3 digits
        return x * (self.keeps(shape) * scale).to(x.dtype)

    def extra_repr(self) -> str:
        beside = super().extra_repr()
        return f"{beside}{', ' * bool(beside)}p={self.p.flatten().tolist()}"


def checked_rate(said: str, p: float) -> float:
    """A probability of dropping as a float. Raises SettingError outside [0, HIGHEST], and for nan.

    said: how the message begins, up to the number: "dropout is".
    """
    if not 0 <= p <= HIGHEST:
        raise SettingError(
            f"{said} {p!r}; it is the probability of dropping and must lie in [0, 1), at most 1 - 2^-16: "
            "write 0.5 to drop one half, 0 to drop nothing."
        )
    return float(p)


def noises(module: nn.Module) -> Iterable[tuple[str, Noise]]:
    """Every layer inside a module that drops at random, with its name, in the order of `named_modules`."""
    return ((name, child) for name, child in module.named_modules() if isinstance(child, Noise))


def set_step(module: nn.Module, step: int) -> None:
    """Give every layer that drops at random the masks of this step: call it once a step in a loop of your own."""
    for _, layer in noises(module):
        layer.step.fill_(step)


def set_rows(module: nn.Module, first: int, count: int) -> None:
    """Give every layer that drops at random the masks of a part of a batch: of `count` examples, from number `first` on.

    So processes that share a batch, or one that takes it in parts, drop what one would that takes it whole.
    """
    for _, layer in noises(module):
        layer.rows = (first, count)
