"""What torch's exporters print and raise, kept to a line: they write pages to the log and then raise the same again."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["hushed", "said"]

LONGEST = 300  # characters of what is quoted


@contextmanager
def hushed() -> Iterator[None]:
    """Nothing is logged, and nothing warned of: what the exporters have yet to change is no concern of the caller's."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def said(error: BaseException | str) -> str:
    """The message of an exception or a warning in one line, or its name where it says nothing.

    >>> said(ValueError("two\\n  lines"))
    'two lines'
    """
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__
