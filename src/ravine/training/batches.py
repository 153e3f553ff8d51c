"""Which examples each trial meets at each step, and how they are augmented and mixed on the way.

Order, augmentation and mixing are drawn by a trial's `order_seed`, so trials of one order that are altered alike
share one batch in memory.

Letters in shapes: K trials, W ways to alter a batch, B batch, N examples, C classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.data import Split
from ravine.errors import SettingError
from ravine.randomness import permutation
from ravine.regularization import Augmentation, LabelSmoothing, Mixing, soft_targets
from ravine.training.setting import AUGMENTING, Setting
from ravine.types import Task

__all__ = ["Batch", "Batches", "check_fit"]


class Batch(NamedTuple):
    """Inputs [B, ...] and targets [B] or [B, C] that all trials share; [K, ...] of those that are each trial's own."""

    x: Tensor
    y: Tensor
    own: bool = False
    own_targets: bool = False


class _Way(NamedTuple):
    """All that decides the examples of a trial; trials of one way share them."""

    order: int
    augmentation: Augmentation
    mixing: Mixing  # without its label smoothing, which changes targets alone


class Batches:
    """The batches of K trials over one split. classes: C, or None for a regression."""

    rows: slice = slice(None)
    """The part of every batch that is wanted, where others take the rest."""

    def __init__(self, split: Split, settings: Sequence[Setting], batch_size: int, *, classes: int | None) -> None:
        self.split, self.size, self.classes = split, batch_size, classes
        self.per_epoch = len(split) // batch_size
        mixings = [s.mixing() for s in settings]
        self._ways = [
            _Way(s.order_seed, s.augmentation(), dataclasses.replace(m, label_smoothing=0.0))
            for s, m in zip(settings, mixings, strict=True)
        ]
        self._smoothing = [m.label_smoothing for m in mixings]
        self._soft = classes is not None and any(m.needs_soft for m in mixings)
        self._orders: dict[tuple[int, int], Tensor] = {}

    def keep(self, index: Sequence[int]) -> None:
        """Go on with the trials `index` alone. Targets stay soft once they were: nothing may change for survivors."""
        self._ways = [self._ways[k] for k in index]
        self._smoothing = [self._smoothing[k] for k in index]

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        ways = list(dict.fromkeys(self._ways))
        x, y = self._made(ways, step)
        own = len(ways) > 1
        if not own:
            x, y = x[0], y[0]
        elif len(ways) < len(self._ways):
            of_trial = torch.tensor([ways.index(way) for way in self._ways], device=x.device)
            x, y = x[of_trial], y[of_trial]
        if len(set(self._smoothing)) == 1:
            return Batch(x, _smoothed(y, self._smoothing[0]), own, own)
        each = y if own else [y] * len(self._smoothing)
        return Batch(x, torch.stack([_smoothed(*pair) for pair in zip(each, self._smoothing, strict=True)]), own, True)

    def _made(self, ways: Sequence[_Way], step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of each way, [W, B, ...], fetched at once."""
        epoch, position = divmod(step, self.per_epoch)
        here = slice(position * self.size, (position + 1) * self.size)
        alone = not any(
            way.augmentation.on or way.mixing.on for way in ways
        )  # no example looks at another, nor at its place
        wanted = self.rows if alone else slice(None)
        index = [self._order(way.order, epoch)[here][wanted] for way in ways]
        x, y = self.split.batch(torch.cat(index))
        if self._soft:
            y = soft_targets(y, self.classes or 0)
        each = (len(ways), len(index[0]))
        x, y = x.unflatten(0, each), y.unflatten(0, each)
        if alone:
            return x, y
        altered = [_altered(way, one, its, step) for way, one, its in zip(ways, x, y, strict=True)]
        return torch.stack([x[self.rows] for x, _ in altered]), torch.stack([y[self.rows] for _, y in altered])

    def _order(self, seed: int, epoch: int) -> Tensor:
        """The data order of one epoch, [N]."""
        if (seed, epoch) not in self._orders:
            self._orders = {key: order for key, order in self._orders.items() if key[1] == epoch}
            self._orders[seed, epoch] = permutation(len(self.split), seed, "order", epoch).to(self.split.y.device)
        return self._orders[seed, epoch]


def _altered(way: _Way, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    if way.augmentation.on:
        x = way.augmentation(x, seed=way.order, step=step)
    return way.mixing(x, y, seed=way.order, step=step) if way.mixing.on else (x, y)


def _smoothed(y: Tensor, share: float) -> Tensor:
    """Smoothing an average of targets is averaging smoothed ones, so it may come last."""
    return LabelSmoothing(share)(y) if share else y


def check_fit(setting: Setting, task: Task, input_shape: Sequence[int]) -> None:
    """Raise SettingError for a setting that this data has no use for: images' own on tables, smoothing of numbers."""
    images = len(input_shape) == 3
    for name in (*AUGMENTING, "cutmix", "cutout"):
        if getattr(setting, name) and not images:
            raise SettingError(
                f"{name} is for images, (channels, height, width); the data has examples of shape "
                f"{tuple(input_shape)}: leave {name} out. mixup, dropout and weight decay are for any data."
            )
    if setting.crop and setting.crop >= min(input_shape[1:]):
        raise SettingError(
            f"crop is {setting.crop} pixels of padding, and the images are {input_shape[1]} x {input_shape[2]}: write "
            f"{min(input_shape[1:]) - 1} at most; an eighth of the side is usual."
        )
    if task == "regression":
        for name in ("label_smoothing", "cutmix"):
            if getattr(setting, name):
                raise SettingError(f"{name} is for classification; the target here is a number: leave {name} out.")
    for name in ("mixup", "cutmix"):
        if getattr(setting, name) and setting.batch_size < 2:
            raise SettingError(f"{name} mixes the examples of a batch, and batch_size is 1: make it 2 or more.")
