"""The options that commands share, and how their words become values."""

from __future__ import annotations

import inspect
import json
import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ravine.errors import SettingError, nearest
from ravine.limits import CONFIG_BYTES
from ravine.trust import is_named, name_by_hand

__all__ = ["factory", "free_folder", "gathering", "parse_settings", "with_common"]


def load_config(context: typer.Context, path: Path | None) -> Path | None:
    """--config FILE: values for options that the command line leaves out."""
    if path is None or context.resilient_parsing:
        return path
    values = _read_config(path)
    known = {p.name: p for p in context.command.params if p.name and p.name != "config"}
    given = {key.replace("-", "_"): value for key, value in values.items()}
    _check_named(path, given, context.obj["words"])
    for key in given:
        if key not in known:
            raise SettingError(
                f"{path} sets {key!r}, which is no option of ravine {context.command.name}; {nearest(key, known)}"
            )
    if isinstance(given.get("set_"), Mapping):
        given["set_"] = [f"{k}={_word(v)}" for k, v in given["set_"].items()]
    context.default_map = {**(context.default_map or {}), **given}
    return path


def _check_named(path: Path, given: Mapping[str, Any], words: Sequence[str]) -> None:
    """Raise SettingError for what a file may not choose alone, for it may be a stranger's: code to run, a server to tell a
    password, a cluster whose pickles are read, a run to delete.
    """
    from ravine.search.address import without_password

    said = {word.partition("=")[0] for word in words}
    model, storage, workers = (without_password(str(given.get(name, ""))) for name in ("model", "storage", "workers"))
    for kind, name, needs in (
        ("model", model, ":" in model),
        ("storage", storage, "storage" in given),
        ("workers", workers, ":" in workers),
    ):
        if needs and f"--{kind}" not in said and not is_named(kind, name):  # type: ignore[arg-type]
            raise SettingError(
                f"{path} names the {kind} {name!r}, and you have named no such one here: if you trust it, write --{kind} "
                f"{shlex.quote(name)} beside --config, once."
            )
    if given.get("overwrite"):
        raise SettingError(f"{path} sets overwrite, which deletes a run: write --overwrite on the command line.")


def factory(model: str | None) -> Any:
    """The factory that --model names, which is known as named by hand from now on; None without one."""
    if model is None:
        return None
    from ravine.models import find_factory

    found = find_factory(model)
    name_by_hand("model", model)
    return found


def _read_config(path: Path) -> dict[str, Any]:
    try:
        if not path.exists():
            raise FileNotFoundError
        if not path.is_file() or path.stat().st_size > CONFIG_BYTES:
            raise ValueError(f"it is no file, or has more than {CONFIG_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise SettingError(f"there is no file {path}; --config needs a TOML or JSON file.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(
            f"{path} cannot be read as {'JSON' if path.suffix == '.json' else 'TOML'}: {error}"
        ) from error
    if not isinstance(found, dict):
        raise SettingError(
            f"{path} holds a {type(found).__name__}; it must hold options by name, such as budget = '60s'."
        )
    if "set" in found:
        found["set_"] = found.pop("set")
    return found


def _word(value: Any) -> str:
    """A value as --set writes it; a list of one keeps its comma."""
    return ",".join(map(str, value)) + "," * (len(value) == 1) if isinstance(value, list) else str(value)


Data = Annotated[
    str,
    typer.Option("--data", help="digits, a CSV or Parquet file, a folder of images or Parquet files, or hf:NAME."),
]
Target = Annotated[str | None, typer.Option("--target", help="The column of a table to predict.")]
Task = Annotated[str | None, typer.Option("--task", help="classification or regression; told apart by the target.")]
Test = Annotated[str | None, typer.Option("--test", help="A file to test on, as it is; never used for choosing.")]
Categorical = Annotated[
    str | None, typer.Option("--categorical", help="Columns of numbers that are categories: name,name.")
]
Model = Annotated[str, typer.Option("--model", help="mlp, cnn, resnet, package.module:factory or file.py:factory.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="A setting of the model: hidden=128,128. May be repeated.")
]
Budget = Annotated[str | None, typer.Option("--budget", help="Wall clock: 60s, 10m, 1.5h.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same draws.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, or auto.")]
Out = Annotated[Path | None, typer.Option("--out", help="The run folder; runs/NAME when not given.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run folder that stands there.")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Examples per step; by the size of the data.")]
Tensorboard = Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard event files into the run folder.")]
SearchSpace = Annotated[
    list[str] | None,
    typer.Option(
        "--space",
        help="What else to search, or in another range: mixup, 'lr=log(1e-4,1)', 'dropout=uniform(0,0.3)', "
        "optimizer=sgd,adamw. May be repeated.",
    ),
]
Workers = Annotated[
    str,
    typer.Option(
        "--workers",
        help="Processes here that share the CPU's cores, by their number; or workers of Ray: ray (one that runs here, or a new "
        "one), auto (a cluster that runs) or ray://HOST:PORT.",
    ),
]
WorkerCpus = Annotated[float, typer.Option("--worker-cpus", help="Cores of each worker on Ray.")]
WorkerGpus = Annotated[float, typer.Option("--worker-gpus", help="GPUs of each worker on Ray; 0.25: four share one.")]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage", help="A database for a study shared with other runs: postgresql+psycopg://USER@HOST/DATABASE."
    ),
]
StudyName = Annotated[str | None, typer.Option("--study", help="The study's name there; the run folder's.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="A TOML or JSON file with options by name.", callback=load_config, is_eager=True),
]


def common(
    context: typer.Context,
    data: Data,
    target: Target = None,
    task: Task = None,
    test: Test = None,
    categorical: Categorical = None,
    model: Model = "mlp",
    set_: Set = None,
    budget: Budget = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    batch_size: BatchSize = None,
    tensorboard: Tensorboard = False,
    config: Config = None,  # noqa: ARG001 - its callback has done its work
) -> dict[str, Any]:
    """The options of every command that runs, as keyword arguments of `ravine.api`."""
    if task not in (None, "classification", "regression"):
        raise SettingError(f"--task is {task!r}; write classification or regression.")
    from ravine.search.address import without_password

    context.obj["out"] = out = out or free_folder(data)  # known to whoever says how to go on
    return {
        "make_model": model,
        "data": data,
        "target": target,
        "task": task,
        "test": test,
        "categorical": tuple(name.strip() for name in (categorical or "").split(",") if name.strip()),
        "settings": parse_settings(set_ or []),
        "budget": budget,
        "seed": seed,
        "device": device,
        "out": out,
        "overwrite": overwrite,
        "batch_size": batch_size,
        "tensorboard": tensorboard,
        "started": context.obj["started"],
        "command": without_password(shlex.join(["ravine", *context.obj["words"]])),
    }


def gathering(shared: Callable[..., dict[str, Any]]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the options of `shared` in front of its own; it is called with what `shared` makes of them.

    Each gathering adds one positional argument: the innermost is the last of them.
    """
    known = inspect.signature(shared, eval_str=True).parameters

    def decorated(command: Callable[..., int]) -> Callable[..., int]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())
        places = [p for p in own if p.default is p.empty and p.kind is not p.KEYWORD_ONLY]

        def gathered(*outer: Any, **words: Any) -> int:
            given = shared(**{name: words.pop(name) for name in known})
            return command(*outer, given, **words)

        every = [p.replace(kind=p.KEYWORD_ONLY) for p in (*known.values(), *own[len(places) :])]
        gathered.__signature__ = inspect.Signature([*places[:-1], *every])  # type: ignore[attr-defined]  # what Typer reads
        gathered.__doc__ = command.__doc__
        return gathered

    return decorated


with_common = gathering(common)
"""The options of every command that runs."""


def free_folder(data: str) -> Path:
    """runs/NAME for the data's name, or runs/NAME-2 and so on where that is taken."""
    name = Path(data.rpartition(":")[2]).stem or "run"
    taken = (Path("runs") / (name if number == 1 else f"{name}-{number}") for number in range(1, 10_000))
    return next(path for path in taken if not path.exists())


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """Settings of a model from KEY=VALUE words: numbers, true/false, text, or a list with commas.

    >>> parse_settings(["hidden=128,64", "dropout=0.1", "activation=relu"])
    {'hidden': [128, 64], 'dropout': 0.1, 'activation': 'relu'}
    """
    found = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier() or not text:
            raise SettingError(f"--set {word!r} cannot be read; write KEY=VALUE, such as --set hidden=128,128.")
        found[key] = [_value(part) for part in text.split(",") if part] if "," in text else _value(text)
    return found


def _value(text: str) -> int | float | bool | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
