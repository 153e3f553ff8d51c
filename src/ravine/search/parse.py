"""Spaces in words, as they stand on a command line or in a file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ravine.errors import SettingError
from ravine.search.hyperparameters import KNOWN, SEARCHED, cannot_search, check_names
from ravine.search.space import Choice, Distribution, Int, Log, Uniform

__all__ = ["parse_space"]

FORMS = "NAME=log(1e-4,1), NAME=uniform(0,0.5), NAME=int(32,512), NAME=int(32,512,log) or NAME=a,b,c"


def parse_space(words: Sequence[str], structural: Sequence[str] = ()) -> dict[str, Distribution]:
    """Distributions from words: NAME alone for the one we know, NAME=log(a,b), NAME=uniform(a,b), NAME=int(a,b),
    NAME=int(a,b,log) or NAME=a,b,c.

    structural: the names that the model's factory takes. Raises SettingError for a word that cannot be read, and
    for a name that comes twice.

    >>> parse_space(["lr=log(1e-4,1)", "optimizer=sgd,adamw", "mixup"])
    {'lr': Log(low=0.0001, high=1.0), 'optimizer': Choice(options=('sgd', 'adamw')), 'mixup': Log(low=0.05, high=2.0)}
    >>> parse_space(["hidden=int(32,512,log)"], structural=["hidden"])
    {'hidden': Int(low=32, high=512, log=True)}
    """
    found: dict[str, Distribution] = {}
    for word in words:
        name, equals, text = (part.strip() for part in word.partition("="))
        if name in found:
            raise SettingError(f"--space names {name!r} twice; write it once, with all that is to be searched.")
        found[name] = _distribution(word, text) if equals else _known(name, structural)
    check_names(found, structural)
    return found


def _known(name: str, structural: Sequence[str]) -> Distribution:
    if name in KNOWN:
        return KNOWN[name]
    if name in (*SEARCHED, *structural):
        example = f"{name}=log(1e-4,1)" if name in SEARCHED else f"{name}=int(32,512,log)"
        raise SettingError(f"what to search of {name} must be said: write '{example}' or '{name}=a,b'.")
    raise cannot_search(name, structural)


def _distribution(word: str, text: str) -> Distribution:
    call = re.fullmatch(r"(log|uniform|int)\(([^,()]+),([^,()]+)(,log)?\)", text.replace(" ", ""))
    try:
        if call and call[1] == "int":
            return Int(int(call[2]), int(call[3]), log=call[4] is not None)
        if call and call[4] is None:
            return (Log if call[1] == "log" else Uniform)(float(call[2]), float(call[3]))
        if text and not set(text) & set("()"):
            return Choice([_option(part.strip()) for part in text.split(",") if part.strip()])
    except ValueError as error:
        if isinstance(error, SettingError):
            raise SettingError(f"--space {word!r}: {error}") from error
    raise SettingError(f"--space {word!r} cannot be read{_fault(text)}; write {FORMS}.")


def _fault(text: str) -> str:
    """Which part of NAME=KIND(a,b) is wrong, where that can be said."""
    kind, bracket, inside = text.partition("(")
    if not bracket:
        return "" if text else " (nothing follows the =)"
    if kind.strip() not in ("log", "uniform", "int"):
        return f" ({kind.strip()!r} is no kind of range)"
    for part in inside.rstrip(") ").split(","):
        try:
            int(part) if kind.strip() == "int" else float(part)
        except ValueError:
            if part.strip() != "log":
                return f" ({part.strip()!r} is no {'whole ' * (kind.strip() == 'int')}number)"
    return ""


def _option(text: str) -> str | float:
    """A whole number, a number, or a word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
