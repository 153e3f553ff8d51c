"""The examples of the pages: found, run in order, and what they print held against what the page shows.

A ```python block is run as it stands, all of a page in one place, one after the other; a ```text block that follows it is
what it printed. Between the two may stand how exact that is: <!-- numbers to 40 % -->. In a ```console block the lines after
`$ ` are commands of ours, and what stands below each is what it printed. Numbers may differ by 5 %, for another processor
rounds otherwise; a line `...` stands for any lines.

python docs/examples.py PAGE ...    writes into the pages what their examples print
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Example", "differences", "examples", "rewritten", "run"]

FENCED = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
NEAR = 0.05
"""By how much a number may differ, as a share of itself, where nothing else is said."""
BETWEEN = re.compile(r"\s*(?:<!-- numbers to (?P<percent>\d+) % -->\s*)?")
"""What may stand between an example and what it prints."""
WIDTH = "100"
"""Characters in a line of what a command prints."""


@dataclass(frozen=True)
class Example:
    """One block that is run. shown: what the page says it prints; None where it says nothing."""

    language: str  # python or console
    code: str
    shown: str | None
    place: tuple[int, int]  # in the page, of what is shown, or of the place where it would stand
    near: float = NEAR


def examples(page: str) -> Iterator[Example]:
    """The examples of a page, in order."""
    blocks = list(FENCED.finditer(page))
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block["language"] == "python":
            printed = following if following and following["language"] == "text" else None
            between = BETWEEN.fullmatch(page, block.end(), printed.start()) if printed else None
            if printed and between:
                near = int(between["percent"]) / 100 if between["percent"] else NEAR
                yield Example("python", block["code"], printed["code"], printed.span("code"), near)
            else:
                yield Example("python", block["code"], None, (block.end(), block.end()))
        elif block["language"] == "console":
            yield from _commands(block)


def _commands(block: re.Match[str]) -> Iterator[Example]:
    """The commands of a console block, each with the lines below it."""
    start = block.start("code")
    for piece in re.finditer(
        r"^\$ (?P<command>(?:.*\\\n)*.*)\n(?P<shown>(?:(?!\$ ).*\n)*)", block["code"], re.MULTILINE
    ):
        place = (start + piece.start("shown"), start + piece.end("shown"))
        yield Example("console", piece["command"], piece["shown"] or None, place)


def run(page: str) -> Iterator[tuple[Example, str]]:
    """Run a page's examples in the present folder, and tell what each prints. What it raises comes through."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for example in examples(page):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()), _as_wide_as(WIDTH):
            if example.language == "python":
                exec(compile(example.code, "<example>", "exec"), names)  # noqa: S102 - our own pages
            else:
                _command(example.code)
        yield example, said.getvalue()


@contextlib.contextmanager
def _as_wide_as(characters: str) -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = characters
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def _command(words: str) -> None:
    """A command of ours. Raises RuntimeError where it ends with another status than `# exit status N` beside it says."""
    from ravine.cli import main

    command, *arguments = shlex.split(words.replace("\\\n", " "), comments=True)
    assert command == "ravine", f"{command} is no command of ours"
    expected = re.search(r"# exit status (\d+)", words)
    status = main(arguments)
    if status != (int(expected[1]) if expected else 0):
        raise RuntimeError(f"{words} ended with status {status}")


def differences(shown: str, printed: str, near: float = NEAR) -> str:
    """Where what is printed is not what is shown, in words; "" where it is. near: by which share numbers may differ."""
    pattern = "".join(_matching(line) for line in shown.strip().splitlines())
    lines = "".join(line.rstrip() + "\n" for line in printed.strip().splitlines())
    found = re.fullmatch(pattern, lines)
    if found is None:
        return f"the page shows\n{shown}\nand it prints\n{printed}"
    for a, b in zip(NUMBER.findall(shown), found.groups(), strict=True):
        if b is not None and not _alike(a, b, near):
            return f"the page shows {a} where it prints {b}, in\n{printed}"
    return ""


def _matching(line: str) -> str:
    """A pattern for one line, with a group for each number. Spaces and rules of a table are as long as they are."""
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    pieces = NUMBER.split(line.rstrip())
    escaped = [re.sub(r"(?:\\ |[ ─━])+", lambda _run: r"[ ─━]+", re.escape(piece)) for piece in pieces]
    return f"({NUMBER.pattern})".join(escaped) + r"\n"


def _alike(a: str, b: str, near: float) -> bool:
    x, y = (float(text.replace(",", "")) for text in (a, b))
    return abs(x - y) <= near * max(abs(x), abs(y)) + 1e-12


def rewritten(page: str) -> str:
    """The page with what its examples print now, where it shows anything and it is not what it was."""
    changed = page
    for example, printed in reversed(list(run(page))):
        if example.shown is not None and differences(example.shown, printed, example.near):
            start, end = example.place
            changed = (
                changed[:start] + "".join(line.rstrip() + "\n" for line in printed.strip().splitlines()) + changed[end:]
            )
    return changed


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            text = rewritten(path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
