"""Writes the page of the command line from Typer: every command with every argument and option, its help and its default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from docstrings import escaped
from ravine.cli.main import app
from rule_pages import table

__all__ = ["commands", "page", "pages", "undocumented"]

HEAD = """# The command line

Every command and option of `ravine`, written by `docs/command_pages.py` from the program itself. Results go to standard output,
progress to standard error; `--json` prints one JSON object. `ravine --version` tells the versions of Ravine, torch and Python: put
it into a bug report.

Exit status: 0 done, 1 the recipe failed or a worker was killed, 2 asked wrongly (one line says what to write),
130 interrupted, 143 terminated (and the command that goes on).
"""


def pages() -> dict[str, str]:
    """The page by its place under docs/."""
    return {"reference/command-line.md": page()}


def commands() -> dict[str, Any]:
    """Click's commands by name, in the order of `ravine --help`."""
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def page() -> str:
    """All commands as Markdown."""
    return HEAD + "".join(f"\n## ravine {name}\n\n{_command(command)}\n" for name, command in commands().items())


def undocumented() -> Iterator[str]:
    """Commands, arguments and options that say nothing of themselves."""
    for name, command in commands().items():
        if not command.help:
            yield f"ravine {name}"
        yield from (f"ravine {name} {_names(p)}" for p in _shown(command) if not getattr(p, "help", None))


def _command(command: Any) -> str:
    words = " ".join(p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument")
    usage = f"```text\nravine {command.name} {words + ' ' if words else ''}[OPTIONS]\n```"
    rows = [(_names(p), escaped(getattr(p, "help", None) or ""), _default(p)) for p in _shown(command)]
    return "\n\n".join(
        [
            escaped(" ".join((command.help or "").split())),
            usage,
            table(("option", "what it does", "when not given"), rows),
        ]
    )


def _shown(command: Any) -> list[Any]:
    return [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    return " ".join(f"`{word}`" for word in [*parameter.opts, *parameter.secondary_opts])


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "must be given"
    if value is None or value == () or re.fullmatch(r"Sentinel\.UNSET|UNSET", str(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value}`"
