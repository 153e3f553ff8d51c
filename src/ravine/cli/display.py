"""What a person sees: progress on standard error while it runs, a table on standard output at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from ravine.errors import printable
from ravine.launched import launched

if TYPE_CHECKING:
    from pathlib import Path

    from ravine.recipe.inspection import Inspection
    from ravine.recipe.result import EnsembleResult, Result
    from ravine.recipe.verdict import Verdict

__all__ = [
    "Bars",
    "show_inspection",
    "show_metrics",
    "show_record",
    "show_result",
    "show_rows",
    "show_sound",
    "watching",
    "watching_work",
]

COLOURS = {"pass": "green", "warn": "yellow", "fail": "red"}


class Bars:
    """A bar with the remaining time for the step that runs, and a line for each that has ended."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, step: str) -> None:
        self._close()
        self._progress.start()
        self._task = self._progress.add_task(step, total=1.0, text="")
        if not self._progress.console.is_terminal:
            self._progress.console.print(f"{step} ...")

    def advance(self, share: float, text: str = "") -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=share, text=text)

    def end(self, verdict: Verdict) -> None:
        self._close()
        colour = COLOURS[verdict.status]
        write = self._progress.console.print
        write(
            f"[{colour}]{verdict.status}[/] {verdict.step} ({verdict.seconds:.1f} s): {escape(printable(verdict.summary))}"
        )
        for sentence in verdict.advice:
            write(f"     {escape(printable(sentence))}")

    def note(self, text: str) -> None:
        self._progress.console.print(f"note {escape(printable(text))}")

    def _close(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


@contextmanager
def watching() -> Iterator[Bars]:
    """Bars on standard error, gone when the work is done."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[text]}"))
    progress = Progress(*columns, console=console, transient=True)
    try:
        yield Bars(progress)
    finally:
        progress.stop()


@contextmanager
def watching_work() -> Iterator[Callable[[float, str], None]]:
    """A bar on standard error for work without steps: told the share that is done and what comes next."""
    with watching() as bars:

        def tell(share: float, text: str) -> None:
            if share == 0:  # what is refused before it begins shows no bar
                bars.begin("drawing")
            bars.advance(share, text)

        yield tell


def show_record(record: Any) -> None:
    """A record as one JSON object on standard output."""
    print(json.dumps(_finite(record), allow_nan=False))


def show_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> None:
    """A table on standard output as wide as it needs to be, for a pipe too, and sentences below it."""
    lines = [columns, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for note in notes:
        print(note)


def show_result(result: Result, *, as_json: bool) -> None:
    """The result on standard output: one JSON object, or in words what is wrong, and a table. Of several processes, one shows it."""
    if not launched().leads:
        return
    if as_json:
        print(json.dumps(_finite(result.record()), allow_nan=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for finding in result.findings:  # the alarms, root first, then what is only suspected
        mark = "[red]alarm[/]" if finding.alarm else "perhaps"
        console.print(f"{mark} {escape(printable(str(finding)))}")
    if result.best is not None:
        rows = {f"best model (trial {result.best.trial})": (result.best.validation, result.best.test)}
        if result.ensemble is not None:
            rows[named(result.ensemble)] = (result.ensemble.validation, result.ensemble.test)
        console.print(_table(rows))
        if result.gain:
            console.print(escape(result.gain))
        if result.elsewhere:
            console.print(escape(result.elsewhere))
        console.print(f"again:  {escape(printable(result.best.command))}")
    if result.out is not None:
        console.print(f"report: {escape(printable(str(result.out / 'report.html')))}")
    console.print(f"{result.trials} trials in {result.seconds:.0f} s")


def named(ensemble: EnsembleResult) -> str:
    return f"ensemble of {ensemble.size} ({ensemble.kind})"


def show_metrics(metrics: Mapping[str, Mapping[str, float]], *, as_json: bool) -> None:
    """Metrics by model, for `ravine evaluate`."""
    if as_json:
        print(json.dumps(_finite(metrics), allow_nan=False))
        return
    columns = list(next(iter(metrics.values())))
    table = Table("model", *(name.replace("_", " ") for name in columns))
    for name, values in metrics.items():
        table.add_row(name.replace("_", " "), *(f"{values.get(column, float('nan')):.4f}" for column in columns))
    Console(highlight=False).print(table)


def show_sound() -> None:
    """What a check comes to that raises no alarm."""
    Console(highlight=False, soft_wrap=True).print("[green]no fault was found in this model and these data[/]")


def show_inspection(found: Inspection, folder: Path) -> None:
    """What was measured around the best model of a run, for a person, in the words of its report."""
    from ravine.reports import curvature_words

    scope, rows = curvature_words(found.record())
    table = Table(Column("", no_wrap=True), "", show_header=False)
    for name, value in rows:
        table.add_row(escape(name), escape(value))
    console = Console(highlight=False)
    console.print(escape(scope))
    console.print(table)
    for note in found.notes:
        console.print(f"note {escape(note)}")
    console.print(f"report: {escape(str(folder / 'report.html'))}", soft_wrap=True)


def _table(rows: Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]]) -> Table:
    names = [name for name in next(iter(rows.values()))[0] if name in ("accuracy", "nll", "rmse", "r2")]
    table = Table(
        Column("", no_wrap=True), *(f"validation {name}" for name in names), *(f"test {name}" for name in names)
    )
    for label, (validation, test) in rows.items():
        table.add_row(label, *(f"{part[name]:.4f}" for part in (validation, test) for name in names))
    return table


def _finite(value: Any) -> Any:
    """JSON knows no NaN: such numbers become null."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
