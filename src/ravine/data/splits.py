"""Which rows train, which choose, which test: stratified by class, a pure function of the seed.

A test part given by the user replaces ours; so does a validation part. Rows keep the order of the file, so that
reading a split is reading forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.randomness import permutation

__all__ = ["Rows", "split_rows"]

SHARE = 0.2  # of all rows for testing, then of the rest for validation
MOST = 10_000  # rows in a test or validation split; beyond, more rows serve better in training


@dataclass(frozen=True)
class Rows:
    """Rows of one set of examples, ascending int64; empty where a part of its own stands in."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    rare: tuple[int, ...]  # classes with too few rows to be in every split: all of them train


def split_rows(
    classes: NDArray[np.int64] | None, count: int, seed: int, *, validation: bool = True, test: bool = True
) -> Rows:
    """Divide rows 0 ... count - 1.

    classes: [count] class indices to stratify by, or None for a regression.
    validation, test: whether these splits are to be taken from the rows.
    """
    strata = np.zeros(count, dtype=np.int64) if classes is None else classes
    parts = 1 + int(validation) + int(test)  # rows a class needs to be in every split
    sizes = np.bincount(strata)
    rare = np.flatnonzero((sizes > 0) & (sizes < parts))
    always = np.isin(strata, rare)
    rest = np.flatnonzero(~always)
    none = np.empty(0, dtype=np.int64)
    test_rows = choose(rest, strata, seed, "test", leave=parts - 1) if test else none
    rest = np.setdiff1d(rest, test_rows)
    validation_rows = choose(rest, strata, seed, "validation", leave=1) if validation else none
    train = np.union1d(np.setdiff1d(rest, validation_rows), np.flatnonzero(always))
    return Rows(train, validation_rows, test_rows, tuple(int(each) for each in rare))


def choose(
    rows: NDArray[np.int64], strata: NDArray[np.int64], seed: int, purpose: str, *, leave: int
) -> NDArray[np.int64]:
    """A fifth of `rows`, at most 10,000, spread over the classes as the rows are; ascending.

    Every class gives at least one row and keeps at least `leave`.
    """
    if not len(rows):
        return rows
    shuffled = rows[permutation(len(rows), seed, "split", purpose).numpy()]
    grouped = shuffled[np.argsort(strata[shuffled], kind="stable")]
    _, start, size = np.unique(strata[grouped], return_index=True, return_counts=True)
    take = quotas(size, min(SHARE * len(rows), MOST))
    take = np.clip(take, 1, size - leave)
    rank = np.arange(len(grouped)) - np.repeat(start, size)
    return np.sort(grouped[rank < np.repeat(take, size)])


def quotas(size: NDArray[np.int64], total: float) -> NDArray[np.int64]:
    """Whole shares of `total` proportional to `size`: rounded down, the rest to the largest remainders."""
    exact = size * (round(total) / int(size.sum()))
    whole: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: round(total) - int(whole.sum())]] += 1
    return whole
