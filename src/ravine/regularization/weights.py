"""Which parameters a decay, a penalty or a constraint touches: weights by default, or what patterns of names choose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from ravine.errors import SettingError, nearest

__all__ = ["Named", "check_patterns", "chosen", "decaying"]

Named = nn.Module | Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]
"""A module, or its parameters by name: `module.named_parameters()`, or a dict."""

NORM = re.compile(r"norm(\d?d)?$", re.IGNORECASE)


def decaying(module: nn.Module) -> frozenset[str]:
    """The names of the parameters that decay: those of two dimensions or more that no norm or embedding holds.

    A matrix shared with an embedding counts as the embedding's. A layer is a norm when its class is named so:
    BatchNorm2d, LayerNorm, a user's own RMSNorm.
    """
    spared = {
        id(param)
        for layer in module.modules()
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag) or NORM.search(type(layer).__name__)
        for param in layer.parameters(recurse=False)
    }
    return frozenset(name for name, p in module.named_parameters() if p.ndim >= 2 and id(p) not in spared)


def chosen(model: Named, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> dict[str, Tensor]:
    """The parameters to hold back, by name: the weights, or those that `include` names, less those of `exclude`.

    include, exclude: patterns as in a shell (`*`, `?`, `[ab]`), in the case of the names. The weights are those
    of `decaying`; where only names and tensors are given, what has two dimensions or more. A frozen parameter
    is left out, for nothing may move it.
    Raises SettingError for a pattern that matches no parameter, and when nothing is left.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> list(chosen(model)), list(chosen(model, include=("*.bias",), exclude=("2.*",)))
    (['0.weight', '2.weight'], ['0.bias'])
    """
    check_patterns("chosen", include=include, exclude=exclude)
    named = _named(model)
    if include:
        names = _matching("include", include, named)
    elif isinstance(model, nn.Module):
        names = set(decaying(model))
    else:
        names = {name for name, param in named.items() if param.ndim >= 2}
    names -= _matching("exclude", exclude, named)
    found = {name: param for name, param in named.items() if name in names and not _frozen(param)}
    if not found:
        raise SettingError(
            f"no parameter is left to hold back by include={tuple(include)} and exclude={tuple(exclude)}; the choice is "
            "weights that learn, unless include says otherwise: exclude less, or write include=('*',) for all that learn."
        )
    return found


def check_patterns(owner: str, **patterns: Sequence[str]) -> None:
    """Raise SettingError unless each is a sequence of strings; one string alone would be read letter by letter."""
    for name, given in patterns.items():
        if isinstance(given, list | tuple) and all(isinstance(pattern, str) for pattern in given):
            continue
        cure = repr((given,)) if isinstance(given, str) else "('*.weight',)"
        raise SettingError(f"{owner}: {name} is {given!r}; it needs a tuple of patterns: write {name}={cure}.")


def _named(model: Named) -> dict[str, Tensor]:
    if isinstance(model, nn.Module):
        return dict(model.named_parameters())
    pairs = list(model.items() if isinstance(model, Mapping) else model) if isinstance(model, Iterable) else [model]
    if not all(
        isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) and isinstance(p[1], Tensor) for p in pairs
    ):
        raise SettingError(
            f"got a {type(model).__name__} where a module or its parameters by name are needed: "
            "write model, or model.named_parameters()."
        )
    return dict(pairs)


def _matching(role: str, patterns: Sequence[str], names: Iterable[str]) -> set[str]:
    known, found = list(names), set[str]()
    for pattern in patterns:
        matched = {name for name in known if fnmatchcase(name, pattern)}
        if not matched:
            raise SettingError(
                f"{role} has the pattern {pattern!r}, which matches no parameter ({nearest(pattern, known)}); "
                f"write a parameter's whole name, or * for any part of it: {role}=('*.weight',)."
            )
        found |= matched
    return found


def _frozen(param: Tensor) -> bool:
    """A plain tensor is never frozen: it asks for no gradient because somebody else keeps its gradient."""
    return isinstance(param, nn.Parameter) and not param.requires_grad
