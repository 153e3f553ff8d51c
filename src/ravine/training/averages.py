"""Averages of the weights over a training run.

They work on named tensors: a module's state_dict, or a population's stacked leaves [K, *shape], where every trial
has an average of its own. What is shown is copied, never kept by reference. Floating-point tensors are averaged
(half precision in float32, where a small share still counts); of the others, such as batch norm's counter of
batches, the newest is kept. A weight that is not finite spoils the averages it enters, of its own trial alone.

Letters in shapes: K trials.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ravine.errors import ModelError, SettingError

__all__ = ["AVERAGES", "EMA", "SWA", "LastK", "WeightAverage", "load_into"]

Named = Mapping[str, Tensor]


class WeightAverage(Protocol):
    """An average that grows with every set of weights it is shown."""

    @property
    def count(self) -> int:
        """How often it was shown weights."""

    def update(self, named: Named) -> None:
        """Take in the weights of now. Raises ModelError when names or shapes are not those of before."""

    def values(self) -> dict[str, Tensor]:
        """A copy of the average, in the dtypes shown. Raises ModelError when nothing was shown."""

    def keep(self, index: Tensor) -> None:
        """Drop every trial but those at the positions `index` of the leading dimension, int64."""

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that `load_state_dict` needs to go on to the same numbers; settings are not in it."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a copy of `state`."""


class _Running:
    """One running average: average <- average + share * (weights - average), from the first weights shown."""

    def __init__(self) -> None:
        self.count = 0
        self._average: dict[str, Tensor] = {}
        self._dtypes: dict[str, torch.dtype] = {}

    def share(self) -> float:
        """What the next weights count for, in (0, 1]."""
        raise NotImplementedError

    @torch.no_grad()
    def update(self, named: Named) -> None:
        if not self.count:
            self._average, self._dtypes = _wide(named), _dtypes(named)
        else:
            _check_same(self._average, named)
            for name, average in self._average.items():
                if _is_averaged(average):
                    average.lerp_(named[name].detach().to(average), self.share())
                else:
                    average.copy_(named[name])
        self.count += 1

    def values(self) -> dict[str, Tensor]:
        _check_shown(self.count)
        return _narrow(self._average, self._dtypes)

    def keep(self, index: Tensor) -> None:
        self._average = _rows(self._average, index)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "average": _copy(self._average), "dtypes": dict(self._dtypes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.count, self._average = int(state["count"]), _copy(state["average"])
        self._dtypes = dict(state["dtypes"])


class SWA(_Running):
    """The equal mean of everything shown: stochastic weight averaging.

        average <- average + (weights - average) / (n + 1)    n shown before

    Show it weights from the end of training only, as often as once an epoch. Source: Izmailov et al. 2018, as
    torch.optim.swa_utils.AveragedModel. Memory: one copy of the weights.

    >>> average = SWA()
    >>> for value in (1.0, 2.0, 6.0):
    ...     average.update({"weight": torch.tensor([value])})
    >>> average.values()
    {'weight': tensor([3.])}
    """

    def share(self) -> float:
        return 1 / (self.count + 1)


class EMA(_Running):
    """An exponential moving average, from the first weights shown.

        average <- decay * average + (1 - decay) * weights

    decay: in [0, 1); about 1 / (1 - decay) updates are remembered. As torch.optim.swa_utils.get_ema_avg_fn, there
    is no correction for the start: after n updates the first weights still count for decay ** (n - 1). Source:
    Polyak and Juditsky 1992 for averaging, with exponential weights. Memory: one copy of the weights.
    Raises SettingError for another decay.

    >>> average = EMA(decay=0.5)
    >>> for value in (1.0, 2.0, 6.0):
    ...     average.update({"weight": torch.tensor([value])})
    >>> average.values()
    {'weight': tensor([3.7500])}
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise SettingError(
                f"EMA.decay is {decay!r}; it must lie in [0, 1). It is the share of the average that an update keeps: "
                "write 0.999 to remember about 1000 updates."
            )
        super().__init__()
        self.decay = decay

    def share(self) -> float:
        return 1 - self.decay


class LastK:
    """The equal mean of the last k weights shown, such as those of the last k epochs.

    Source: checkpoint averaging as in Vaswani et al. 2017, section 6.1. Memory: k copies of the weights.
    Raises SettingError for k below 1.

    >>> average = LastK(k=2)
    >>> for value in (1.0, 2.0, 6.0):
    ...     average.update({"weight": torch.tensor([value])})
    >>> average.values()
    {'weight': tensor([4.])}
    """

    def __init__(self, k: int = 5) -> None:
        if k < 1:
            raise SettingError(f"LastK.k is {k!r}; it must be 1 or more: write k=5.")
        self.k, self.count = k, 0
        self._kept: deque[dict[str, Tensor]] = deque(maxlen=k)

    @torch.no_grad()
    def update(self, named: Named) -> None:
        if self._kept:
            _check_same(self._kept[-1], named)
        self._kept.append(_copy(named))
        self.count += 1

    def values(self) -> dict[str, Tensor]:
        _check_shown(self.count)
        newest = self._kept[-1]
        return {name: self._mean(name) if _is_averaged(tensor) else tensor.clone() for name, tensor in newest.items()}

    def _mean(self, name: str) -> Tensor:
        newest = self._kept[-1][name]
        total = torch.zeros_like(newest, dtype=_accumulator(newest))
        for one in self._kept:
            total += one[name]
        return (total / len(self._kept)).to(newest.dtype)

    def keep(self, index: Tensor) -> None:
        self._kept = deque((_rows(one, index) for one in self._kept), maxlen=self.k)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "kept": [_copy(one) for one in self._kept]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.count = int(state["count"])
        self._kept = deque((_copy(one) for one in state["kept"]), maxlen=self.k)


AVERAGES: dict[str, Callable[..., WeightAverage]] = {"swa": SWA, "ema": EMA, "last": LastK}
"""Every average of weights by name."""


@torch.no_grad()
def load_into(module: nn.Module, values: Named) -> None:
    """Write an average into a module, in place, in the module's own dtypes and on its device.

    values: every trainable parameter by its name, and any of the other parameters and the buffers. Batch norm's
    statistics belong to other weights than the average: see `choose_average`. Nothing is written when it raises
    ModelError, for a name or a shape that the module does not have, or for a parameter that is left out.
    """
    own = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    trainable = {name for name, param in module.named_parameters() if param.requires_grad}
    strangers, missing = sorted(values.keys() - own.keys()), sorted(trainable - values.keys())
    if strangers or missing:
        raise ModelError(
            f"the average is of another model (unknown to it: {strangers[:3]}; left out: {missing[:3]}): give the "
            "average of this module's own parameters."
        )
    for name, value in values.items():
        _check_shape(name, own[name], value)
    for name, value in values.items():
        own[name].copy_(value)


def _is_averaged(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _accumulator(tensor: Tensor) -> torch.dtype:
    """float32 for half precision: from the 256th on, an equal share is lost in bfloat16's rounding."""
    return torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else tensor.dtype


def _copy(named: Named) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in named.items()}


def _wide(named: Named) -> dict[str, Tensor]:
    return {name: tensor.detach().to(_accumulator(tensor), copy=True) for name, tensor in named.items()}


def _dtypes(named: Named) -> dict[str, torch.dtype]:
    return {name: tensor.dtype for name, tensor in named.items()}


def _narrow(named: Named, dtypes: Mapping[str, torch.dtype]) -> dict[str, Tensor]:
    return {name: tensor.to(dtypes[name], copy=True) for name, tensor in named.items()}


def _rows(named: Named, index: Tensor) -> dict[str, Tensor]:
    return {name: tensor[index.to(tensor.device)] for name, tensor in named.items()}


def _check_shown(count: int) -> None:
    if not count:
        raise ModelError("this average was shown no weights yet: call update first.")


def _check_same(before: Named, named: Named) -> None:
    different = sorted(before.keys() ^ named.keys())
    if different:
        raise ModelError(
            f"these weights are of another model, they differ in {different[:3]}: show those of one model."
        )
    for name, tensor in before.items():
        _check_shape(name, tensor, named[name])


def _check_shape(name: str, own: Tensor, value: Tensor) -> None:
    if own.shape != value.shape:
        raise ModelError(
            f"{name} has shape {list(value.shape)} where {list(own.shape)} is needed: give the weights of one model; "
            "where trials were dropped, call keep with the same index."
        )
