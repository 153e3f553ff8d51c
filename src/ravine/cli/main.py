"""The entry point: which commands there are, and how an ending becomes an exit status.

0 done; 1 ran, and the recipe failed, a worker was killed or memory ran out; 2 asked wrongly: one line, no traceback; 130
interrupted, 143 terminated: how to go on is said.
"""

from __future__ import annotations

import os
import platform
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

STARTED = time.monotonic()  # a budget counts from here

# Threads that wait by spinning, as libgomp's do, stand in each other's way where cores are shared with other
# programs: a step that takes 1 ms was seen to take 48 ms. Sleeping costs microseconds. It must be said
# before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import typer  # noqa: E402 - the clock starts before the imports

from ravine.cli import (  # noqa: E402
    check,
    evaluate,
    export,
    gallery,
    inspect,
    landscape,
    lr_range,
    report,
    resume,
    search,
    train,
    tune,
)
from ravine.cli.many_values import ManyValues  # noqa: E402
from ravine.errors import AwayError, InputError, WorkerError, first_line, printable  # noqa: E402
from ravine.launched import launched  # noqa: E402

__all__ = ["app", "main"]

INTERRUPTED, TERMINATED = 130, 143

UsageError: Any = typer.BadParameter.__mro__[1]
"""Whatever Typer raises for words it cannot read; some versions of it carry their own copy of click."""

app = typer.Typer(
    name="ravine",
    help="Train neural networks well without tons of GPUs: the whole tuning recipe in one command.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        print(", ".join(f"{name} {metadata.version(name)}" for name in ("ravine", "torch")), end=", ")
        print(f"Python {platform.python_version()}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="The versions of Ravine, torch and Python, for a bug report.",
        ),
    ] = False,
) -> None: ...


app.command("tune", help=tune.__doc__, cls=ManyValues)(tune.tune)
app.command("check", help=check.__doc__)(check.check)
app.command("lr-range", help=lr_range.__doc__)(lr_range.lr_range)
app.command("search", help=search.__doc__, cls=ManyValues)(search.search)
app.command("train", help=train.__doc__)(train.train)
app.command("resume", help=resume.__doc__)(resume.resume)
app.command("evaluate", help=evaluate.__doc__)(evaluate.evaluate)
app.command("export", help=export.__doc__)(export.export)
app.command("inspect", help=inspect.__doc__)(inspect.inspect)
app.command("report", help=report.__doc__)(report.report)
app.command("landscape", help=landscape.__doc__, cls=ManyValues)(landscape.landscape)
app.command("gallery", help=gallery.__doc__)(gallery.gallery)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. arguments: those of the process when not given."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    given: dict[str, Any] = {"started": STARTED if arguments is None else time.monotonic(), "words": words}
    try:
        with _terminable():
            status = app(words, prog_name="ravine", standalone_mode=False, obj=given)
    except UsageError as wrong:
        return _refuse(_given(wrong, words) + wrong.format_message())
    except InputError as wrong:
        return _refuse(str(wrong))
    except (AwayError, WorkerError) as failed:
        if str(failed):  # of several processes, one has the words
            print(f"ravine: {printable(str(failed))}", file=sys.stderr)
        return 1
    except ImportError as gone:  # of a library of ours: what a user's own code cannot import is a ModelError
        return _refuse(
            f"{gone.name or 'a library'} cannot be imported ({gone}): install Ravine anew, with what it needs."
        )
    except Exception as failed:
        if not _memory_ran_out(failed):
            raise
        return _run_dry(failed, given.get("out"), words)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except SystemExit as end:
        if end.code != TERMINATED:
            raise
        status = TERMINATED
    if status in (INTERRUPTED, TERMINATED) and launched().leads:  # Typer turns a KeyboardInterrupt into this status
        said = "interrupted" if status == INTERRUPTED else "terminated"
        print(f"\nravine: {said}. {_how_to_go_on(given.get('out'), words)}", file=sys.stderr)
    return int(status or 0)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does, in order: files half written are taken away, and locks let go."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def _given(wrong: Any, words: Sequence[str]) -> str:
    """What stood after the option that cannot be read: Typer's message leaves it out."""
    for option in getattr(getattr(wrong, "param", None), "opts", ()):
        for word, value in zip(words, [*words[1:], ""], strict=True):
            if word == option or word.startswith(f"{option}="):
                return f"{option} is {value if word == option else word.partition('=')[2]!r}. "
    return ""


def _refuse(message: str) -> int:
    if launched().complains:
        print(f"ravine: {printable(message)}", file=sys.stderr)
    return 2


def _memory_ran_out(failed: Exception) -> bool:
    from ravine.engines.memory import out_of_memory

    return out_of_memory(failed)


def _run_dry(failed: Exception, folder: Path | None, words: Sequence[str]) -> int:
    """Say that there is not enough memory, and how to go on with more of it."""
    said = first_line(failed)
    why = f" ({said})" if said != type(failed).__name__ else ""
    print(
        f"ravine: memory ran out{printable(why)}. A smaller --batch-size, a narrower model or fewer trials need less. "
        f"{_how_to_go_on(folder, words)}",
        file=sys.stderr,
    )
    return 1


def _how_to_go_on(folder: Path | None, words: Sequence[str]) -> str:
    """The command that goes on with the run in this folder, or, where none was begun, the same command again."""
    if folder is not None and (folder / "resume").is_dir() and (folder / "config.json").is_file():
        return f"To go on with it: {shlex.join(['ravine', 'resume', str(folder)])}"
    from ravine.search.address import without_password

    return f"To run it again: {without_password(shlex.join(['ravine', *words]))}"
