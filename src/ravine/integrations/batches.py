"""A few batches of a loader as training will see them, without the loader noticing.

A DataLoader draws a seed whenever an iterator is made, and an iterator with workers is kept. So where rows can be asked for
by number they are, by a copy of its sampler, and collated as the loader collates.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ravine.errors import DataError

__all__ = ["MEMORY", "batches_of", "few_batches", "grouped"]

MEMORY = 256 * 2**20
"""Bytes of batches that are kept; where they are larger, fewer are trained on over and over."""


def few_batches(loader: Any, count: int, *, memory: int = MEMORY) -> list[Any]:
    """At most so many batches, and no more than fit; at least one. Call it inside `undisturbed`.

    loader: a DataLoader, another iterable, or a dict, list or tuple of these, whose batches come
    together as they do in Lightning. A data set that is iterated must begin anew each time, and keep nothing of where it was.
    Raises DataError for what can be read only once, and for what is empty.
    """
    found: list[Any] = []
    kept = 0
    for batch in islice(batches_of(loader), count):
        found.append(batch)
        kept += bytes_of(batch)
        if kept > memory:
            break
    if not found:
        raise DataError("the loader of the training data is empty: it gives no batch.")
    return found


def batches_of(loader: Any) -> Iterator[Any]:
    """Its batches; where rows can be asked for by number, in the order that its own sampler would draw next."""
    if hasattr(loader, "iterables") and hasattr(loader, "mode"):  # Lightning's CombinedLoader
        loader = loader.iterables if loader.mode != "sequential" else _flat(loader.iterables)[0]
    if isinstance(loader, Mapping):
        for together in zip(*(_endless(each) for each in loader.values()), strict=True):
            yield dict(zip(loader, together, strict=True))
    elif isinstance(loader, list | tuple):
        for together in zip(*(_endless(each) for each in loader), strict=True):
            yield type(loader)(together)
    elif isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset):
        yield from _by_number(loader)
    else:
        source = loader.dataset if isinstance(loader, DataLoader) else loader
        if iter(source) is source:
            raise DataError("the training data can be read only once, so none of it can be tried beforehand.")
        if isinstance(loader, DataLoader):  # in this process, whatever workers it has
            loader = DataLoader(source, loader.batch_size, collate_fn=loader.collate_fn)
        yield from loader


def _by_number(loader: DataLoader[Any]) -> Iterator[Any]:
    """Its batches by a copy of its sampler; the rows are the data set's own."""
    dataset, collate = loader.dataset, loader.collate_fn
    sampler = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    places = copy.deepcopy(sampler, {id(dataset): dataset})
    if loader.batch_sampler is None:  # batching is switched off
        yield from (collate(dataset[i]) for i in places)
        return
    fetch = getattr(dataset, "__getitems__", None) or (lambda rows: [dataset[i] for i in rows])
    for rows in places:
        yield collate(fetch(rows))


def _endless(loader: Any) -> Iterator[Any]:
    """Its batches, over and over; none where it has none."""
    while True:
        empty = True
        for batch in batches_of(loader):
            empty = False
            yield batch
        if empty:
            return


def _flat(loaders: Any) -> list[Any]:
    """The loaders in a dict or list of them."""
    if isinstance(loaders, Mapping):
        return [each for part in loaders.values() for each in _flat(part)]
    if isinstance(loaders, list | tuple):
        return [each for part in loaders for each in _flat(part)]
    return [loaders]


def bytes_of(batch: Any) -> int:
    """What the tensors in a batch take."""
    if isinstance(batch, Tensor):
        return batch.numel() * batch.element_size()
    if isinstance(batch, Mapping):
        return sum(bytes_of(part) for part in batch.values())
    if isinstance(batch, Sequence) and not isinstance(batch, str | bytes):
        return sum(bytes_of(part) for part in batch)
    return 0


def grouped(batches: Sequence[Any], size: int) -> list[list[Any]]:
    """Batches whose gradients one step adds up; a last group that is not full is left out, unless it is the only one.

    >>> grouped([1, 2, 3, 4, 5], 2), grouped([1], 2)
    ([[1, 2], [3, 4]], [[1]])
    """
    groups = [list(batches[i : i + size]) for i in range(0, len(batches), size)]
    return groups if len(groups) == 1 else [group for group in groups if len(group) == size]
