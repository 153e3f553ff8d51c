"""Options that take several values after one flag: `--lr .001 .005`, `--start 4 .5`, `--space lr=log(1e-4,1) mixup`.

A command line parser takes one value after an option. So before it reads the words, each further value is given its
flag again, and the coordinates of a point are joined into one word.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from typer.core import TyperCommand

__all__ = ["ManyValues", "spread"]

REPEATED = frozenset({"--lr", "--rule", "--set", "--space"})
JOINED = frozenset({"--start"})


class ManyValues(TyperCommand):
    """A command without arguments: any word that is no option belongs to the option before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread(args, REPEATED, JOINED))


def spread(words: Sequence[str], repeated: Collection[str], joined: Collection[str]) -> list[str]:
    """The words with one value after each flag.

    >>> spread(["--lr", ".1", ".2", "--start", "-4", ".5", "--steps", "9"], {"--lr"}, {"--start"})
    ['--lr=.1', '--lr=.2', '--start=-4 .5', '--steps', '9']
    """
    found: list[str] = []
    at = 0
    while at < len(words):
        flag, equals, value = words[at].partition("=")
        at += 1
        if flag not in repeated and flag not in joined:
            found.append(words[at - 1])
            continue
        values = [value] if equals else []
        while at < len(words) and _is_value(words[at]):
            values.append(words[at])
            at += 1
        if not values:
            found.append(flag)  # the parser says that a value is missing
        elif flag in joined:
            found.append(f"{flag}={' '.join(values)}")
        else:
            found += [f"{flag}={each}" for each in values]
    return found


def _is_value(word: str) -> bool:
    """Not an option: it does not begin with a dash, or it is a negative number."""
    if not word.startswith("-"):
        return True
    try:
        float(word.split(",")[0])
    except ValueError:
        return False
    return True
