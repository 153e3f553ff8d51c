"""Our docstrings as Markdown, and a Griffe extension that shows them so in the reference.

They are written to be read in the code: formulas stand indented, examples begin with >>>, and what a parameter is
stands in a line `name: what it is`. In Markdown these become code blocks and lists; everything else keeps its signs.
A field's docstring is the comment beside it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import griffe

from fields import comment_of

__all__ = ["ReadableDocstrings", "escaped", "to_markdown"]

LABEL = re.compile(r"(?P<names>\*{0,2}[a-z]\w*(?:, \*{0,2}[a-z]\w*)*): (?P<rest>.*)")
TITLE = re.compile(r"(?P<title>Sources?|Memory|Time|Shapes|Letters(?: in shapes)?): ?(?P<rest>.*)")


def to_markdown(text: str, names: Collection[str] = ()) -> str:
    """A docstring as Markdown. names: of its parameters; where one of them opens a sentence with a colon, it is said what it is.

    >>> print(to_markdown("Half of x.\\n\\n    y = x / 2\\n\\nx: a number, 2 * y.\\n>>> half(2)\\n1"))
    Half of x.
    <BLANKLINE>
    ```text
    y = x / 2
    ```
    <BLANKLINE>
    - `x`: a number, 2 \\* y.
    <BLANKLINE>
    ```pycon
    >>> half(2)
    1
    ```
    """
    if names:
        each = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
        text = re.sub(rf"(?<=[.:)]) (?=(?:{each})(?:, (?:{each}))*: )", "\n", text)
    return "\n\n".join(block.rstrip() for block in _blocks(text.strip().splitlines()) if block.strip())


def _blocks(lines: list[str]) -> Iterator[str]:
    """Paragraphs, lists and fenced code, one after the other."""
    i = 0
    while i < len(lines):
        line, start = lines[i], i
        if not line.strip():
            i += 1
        elif line.lstrip().startswith(">>>"):
            while i < len(lines) and lines[i].strip():
                i += 1
            yield _fenced("pycon", lines[start:i])
        elif line.startswith("    "):
            while i < len(lines) and (lines[i].startswith("    ") or not lines[i].strip()):
                i += 1
            yield _fenced("text", lines[start:i])
        else:
            while i < len(lines) and lines[i].strip() and not lines[i].lstrip().startswith(">>>"):
                i += 1
            yield from _prose(lines[start:i])


def _fenced(language: str, lines: list[str]) -> str:
    least = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return f"```{language}\n" + "\n".join(line[least:] for line in lines).rstrip() + "\n```"


def _prose(lines: list[str]) -> Iterator[str]:
    """A paragraph, or the pieces that its labels divide it into."""
    pieces: list[str] = []
    for line in lines:
        ended = not pieces or pieces[-1].endswith(
            (".", ":", ")")
        )  # a word and a colon may also stand inside a sentence
        if (
            (ended and LABEL.fullmatch(line))
            or TITLE.fullmatch(line)
            or line.startswith(("- ", "Raises "))
            or not pieces
        ):
            pieces.append(line.strip())
        else:
            pieces[-1] += " " + line.strip()
    shown = [_piece(piece) for piece in pieces]
    for i, piece in enumerate(shown):
        together = piece.startswith("- ") and i > 0 and shown[i - 1].startswith("- ")
        if not together:
            yield "\n".join([piece, *_items(shown[i + 1 :])]) if piece.startswith("- ") else piece


def _items(pieces: list[str]) -> Iterator[str]:
    for piece in pieces:
        if not piece.startswith("- "):
            return
        yield piece


def _piece(text: str) -> str:
    if title := TITLE.fullmatch(text):
        return f"**{title['title']}:** {escaped(title['rest'])}"
    if label := LABEL.fullmatch(text):
        names = ", ".join(f"`{name}`" for name in label["names"].split(", "))
        return f"- {names}: {escaped(label['rest'])}"
    return f"- {escaped(text[2:])}" if text.startswith("- ") else escaped(text)


def escaped(text: str) -> str:
    """Text whose signs mean themselves in Markdown; what stands between backticks is left as it is."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # one backtick by itself
        return re.sub(r"([`*<>\[\]#|\\])", r"\\\1", text)
    for i in range(0, len(pieces), 2):
        pieces[i] = re.sub(r"([*<>\[\]#|\\])|(?<!\w)_|_(?!\w)", lambda sign: "\\" + sign[0], pieces[i])
    return "`".join(pieces)


class ReadableDocstrings(griffe.Extension):
    """Every docstring as Markdown, and the comment beside a field as the field's docstring."""

    def on_object(self, *, obj: griffe.Object, **_more: Any) -> None:
        if obj.is_attribute and not obj.docstring and obj.lineno is not None and isinstance(obj.filepath, Path):
            lines = obj.lines
            if said := comment_of(lines):
                obj.docstring = griffe.Docstring(said[0].upper() + said[1:] + ".", parent=obj)
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value, _parameters(obj))


def _parameters(obj: griffe.Object) -> list[str]:
    """The names that a docstring explains: a function's parameters, a class's fields."""
    if isinstance(obj, griffe.Function):
        return [parameter.name for parameter in obj.parameters]
    return [name for name, member in obj.members.items() if member.is_attribute] if obj.is_class else []
