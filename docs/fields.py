"""What the comment beside a field says: its meaning, units and range, written once, where the default is."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import textwrap
import tokenize
from collections.abc import Mapping, Sequence
from functools import cache

__all__ = ["comment_of", "comments", "rows"]


def rows(kind: type) -> list[tuple[str, str, str]]:
    """(name, default, what it is) of each field of a dataclass, in order; a field without a default has "" for it."""
    said = comments(kind)
    return [(field.name, _default(field), said.get(field.name, "")) for field in dataclasses.fields(kind) if field.init]


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return repr(field.default_factory())
    return ""


@cache
def comments(kind: type) -> Mapping[str, str]:
    """The comments beside the fields of a class and of those it inherits from, by name."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if dataclasses.is_dataclass(each):
            lines = textwrap.dedent(inspect.getsource(each)).splitlines()
            body = ast.parse("\n".join(lines)).body[0]
            assert isinstance(body, ast.ClassDef)
            for node in body.body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    found[node.target.id] = comment_of(lines[node.lineno - 1 : node.end_lineno])
    return {name: said for name, said in found.items() if said}


def comment_of(lines: Sequence[str]) -> str:
    """The comment at the end of a statement, "" where there is none.

    >>> comment_of(["eps: float = 1e-8  # added to the root, >= 0"])
    'added to the root, >= 0'
    """
    text = "\n".join(lines).strip()
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, IndentationError):  # a part of a statement: it has no comment of its own
        return ""
    said = [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]
    return said[-1] if said and not said[-1].startswith(("type:", "noqa")) else ""
