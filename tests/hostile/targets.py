"""What is fuzzed: for each reader a function of bytes that returns, whatever they are, or has found a fault.

The property is the same for all: what a stranger's bytes come to is a value, or one of Ravine's own errors in one line. Any other
exception goes on to whoever called, as a crash. Nothing outside the folder `place` is written. The tests of `tests/hostile` run the
same functions over what Hypothesis draws and over every crash that was found; `run.py` gives them to atheris.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sqlite3
import struct
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import typer
from PIL import Image

from ravine.data import from_arrays, load
from ravine.errors import InputError

__all__ = ["SEEDS", "TARGETS", "parts", "whole"]

PLACE = Path(tempfile.mkdtemp(prefix="ravine-fuzz-"))
"""Where the files of this process lie."""


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Inside, one of Ravine's errors is an answer, if it is one line."""
    message = "none"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what libraries remark on odd files is no fault
            yield
    except InputError as error:
        message = str(error).strip()
    assert message
    assert "\n" not in message, message


def parts(data: bytes, count: int) -> list[bytes]:
    """`count` pieces of the bytes: each but the last begins with its length, two bytes; `whole` makes such bytes."""
    found = []
    for _ in range(count - 1):
        (size,) = struct.unpack("<I", data[:4].ljust(4, b"\0"))
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return [*found, data]


def whole(*pieces: bytes) -> bytes:
    """The bytes of which `parts` makes these pieces."""
    return b"".join(struct.pack("<I", len(piece)) + piece for piece in pieces[:-1]) + pieces[-1]


def written(name: str, content: bytes) -> Path:
    path = PLACE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- tables


def tables(data: bytes) -> None:
    """A CSV, TSV or Parquet file, with a target that it may have: (which of the three, target, content)."""
    kind, target, content = parts(data, 3)
    suffix = ("csv", "tsv", "parquet")[(kind or b"\0")[0] % 3]
    with answered():
        found = load(str(written(f"table.{suffix}", content)), target=target.decode("utf-8", "replace"))
        x, y = found.train.batch(torch.arange(min(4, len(found.train))))
        assert torch.isfinite(x).all()
        assert len(x) == len(y)


def seeds_of_tables() -> list[bytes]:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": draw.normal(size=30),
            "b": draw.choice(["x", "y", None], 30),
            "c": draw.integers(0, 3, 30),
            "d": [True, False] * 15,
        }
    )
    room = io.BytesIO()
    frame.to_parquet(room)
    strange = io.BytesIO()
    when = pd.DataFrame(
        {"a": pd.date_range("2020", periods=30), "b": [[1, 2]] * 30, "c": pd.Categorical(["u", "v"] * 15)}
    )
    when.to_parquet(strange)
    csv = frame.to_csv(index=False).encode()
    return [
        whole(b"\0", b"c", csv),
        whole(b"\0", b"b", frame.to_csv(index=False, sep=";").encode()),
        whole(b"\1", b"a", frame.to_csv(index=False, sep="\t").encode()),
        whole(b"\2", b"c", room.getvalue()),
        whole(b"\2", b"c", strange.getvalue()),
    ]


# --- images


def images(data: bytes) -> None:
    """A set of encoded images as `datasets` keeps it, and the same images given one by one: their contents."""
    import datasets

    from ravine.data.image_sets import ImageExamples
    from ravine.data.targets import Labels

    each = parts(data, 3)
    table = pa.table({"image": pa.array([{"bytes": one, "path": None} for one in each])})
    labels = Labels("label", np.arange(len(each)), lambda *rows: f"images {rows}")
    with answered():
        from ravine.data import Target

        found = ImageExamples(datasets.Dataset(table), "image", labels, read_paths=False, memory_limit=2**20)
        preprocessing, _ = found.fit(np.arange(len(each)), Target(classes=("a", "b")))
        x = found.read(np.arange(len(each)), preprocessing)
        assert torch.isfinite(x).all()
        assert x.shape[1:] == preprocessing.input_shape
    for one in each:
        with answered():
            from ravine.data import ImagePreprocessing

            prepared = ImagePreprocessing(target=Target(), height=4, width=4, mean=(0.5,), std=(1.0,))
            prepared.to_tensor(written("cat.png", one))


def seeds_of_images() -> list[bytes]:
    draw = np.random.default_rng(0)
    found = []
    for kind, mode in (("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "I;16"), ("JPEG", "L"), ("JPEG", "RGB"), ("GIF", "P"),
                       ("BMP", "RGB"), ("TIFF", "RGB"), ("TIFF", "F"), ("WEBP", "RGB"), ("PPM", "RGB")):  # fmt: skip
        room = io.BytesIO()
        picture = Image.fromarray(draw.integers(0, 255, (9, 7, 3), dtype=np.uint8))
        picture = picture.convert("L").convert("I").convert(mode) if mode == "I;16" else picture.convert(mode)
        picture.save(room, kind)
        found.append(room.getvalue())
    return [whole(found[i], found[i - 1], found[i - 2]) for i in range(len(found))]


# --- spaces, settings and durations in words


def spaces(data: bytes) -> None:
    """Lines of `--space`, and what a study draws from them; the same lines as `--set`, as durations, workers, addresses, rules and
    schedules.
    """
    from ravine.cli.options import parse_settings
    from ravine.landscapes import named_rule
    from ravine.models import Model, mlp
    from ravine.recipe.budget import parse_duration
    from ravine.recipe.request import read_space, written_space
    from ravine.search import Study, parse_space, parse_workers
    from ravine.search.address import parsed
    from ravine.training import Setting

    words = data.decode("utf-8", "replace").split("\n")[:8]
    with answered():
        space = parse_space(words, structural=["hidden", "dropout"])
        assert read_space(json.loads(json.dumps(written_space(space)))) == space
        for sampler in ("random", "grid", "sobol"):
            study = Study(None, "classification", 0, ["sgd"], sampler=sampler, trials=8)
            study.ask("sgd", {name: d for name, d in space.items() if name != "optimizer"}, "coarse")
    with answered():
        Model("mlp", mlp, (3,), 2, parse_settings(words)).build(0)
    for word in words:
        with answered():
            assert 1 <= parse_duration(word) < 1e8
        for reader in (
            parse_workers,
            parsed,
            named_rule,
            lambda each: Setting(optimizer=each),
            lambda each: Setting(schedule=each),
        ):
            with answered():
                reader(word)


def seeds_of_spaces() -> list[bytes]:
    return [
        b"lr=log(1e-4,1)\ndropout=uniform(0,0.5)\nhidden=int(32,512,log)",
        b"optimizer=sgd,adamw\nmixup\nbeta1\nmomentum",
        b"schedule=warm_restarts,cosine\ncycles=int(1,4)\ncrop=0,2",
        b"1h30m\n90\n60s\nhidden=64,64\nhidden=3\ndropout=0.3",
        b"hidden=int(1,9007199254740993)\nlr=1,2,3\nweight_decay=log(1e-300,1e300)",
        b"ray://host:10001\nauto\n4\npostgresql+psycopg://u:p@h:5432/d?x=1\nsqlite:///a.db\nnesterov\ncosine\nplateau",
    ]


# --- expressions


def expressions(data: bytes) -> None:
    """A surface written as text, its values and its gradient."""
    from ravine.landscapes import surface

    with answered():
        ground = surface(data.decode("utf-8", "replace"))
        points = torch.tensor([[0.5, -1.0], [2.0, 3.0], [0.0, 0.0]], dtype=torch.float64)
        if ground.dimension == 2:
            assert ground.value(points).shape == (3,)
            assert ground.gradient(points).shape == (3, 2)


def seeds_of_expressions() -> list[bytes]:
    return [
        b"x**2 + 10*y**2",
        b"sin(x)*exp(-y) + log1p(abs(x))",
        b"min(x, y) + max(x, 3) - e**2/pi",
        b"-(-(-((x))))^2",
        b"9**9**9",
        b"(" * 90 + b"x" + b")" * 90,
        b"rosenbrock",
        b"1e308*10 + 0/1",
    ]


# --- configurations


class Reached(BaseException):
    """A command was called with what its options came to."""


@functools.cache
def commands() -> Any:
    """The command line, built once: Typer builds it anew for every call, in a tenth of a second."""
    entrance = sys.modules["ravine.cli.main"]
    return typer.main.get_command(entrance.app)


def configurations(data: bytes) -> None:
    """A --config file, TOML or JSON: (which of the two, which command, content). The command itself is not begun."""
    import ravine.api as api
    from ravine.cli import main

    kind, command, content = parts(data, 3)
    path = written("options.json" if kind[:1] == b"\1" else "options.toml", content)
    name = ("check", "tune", "train", "search", "lr-range")[(command or b"\0")[0] % 5]

    def reached(*_given: Any, **_more: Any) -> None:
        raise Reached

    said = io.StringIO()
    with contextlib.ExitStack() as stack:
        for one in ("check", "tune", "train", "run_search", "lr_range"):
            stack.enter_context(patch.object(api, one, reached))
        stack.enter_context(patch.object(sys.modules["ravine.cli.main"], "app", commands()))
        stack.enter_context(contextlib.redirect_stderr(said))
        stack.enter_context(contextlib.suppress(Reached))
        status = main([name, "--config", str(path), "--out", str(PLACE / "run")])
        assert status == 2, (status, said.getvalue())
        assert said.getvalue().strip().count("\n") == 0, said.getvalue()


def seeds_of_configurations() -> list[bytes]:
    toml = b'data = "digits"\nbudget = "60s"\nseed = 3\nset = {hidden = [64, 64], dropout = 0.1}\njson = true\n'
    asked = {"data": "t.csv", "target": "kind", "set": {"hidden": 4}, "space": ["lr=log(1e-4,1)", "mixup"], "trials": 8}
    return [
        whole(b"\0", b"\0", toml),
        whole(b"\0", b"\2", toml + b"lr = 0.1\nepochs = 3\nmixup = 0.2\nproximal = false\n"),
        whole(b"\1", b"\1", json.dumps(asked).encode()),
        whole(
            b"\1",
            b"\3",
            json.dumps({"data": "digits", "workers": 2, "sampler": "tpe", "storage": "sqlite:///x"}).encode(),
        ),
        whole(b"\1", b"\4", b"[" * 50 + b"]" * 50),
        whole(b"\0", b"\1", b'data = "digits"\nmodel = "evil.py:net"\noverwrite = true\n'),
    ]


# --- checkpoints


def checkpoints(data: bytes) -> None:
    """A model (record, weights), loaded and asked; and the weights' bytes as the state of a training."""
    from ravine.training import load_model, read_snapshot

    record, weights = parts(data, 2)
    written("model.json", record)
    path = written("model.safetensors", weights)
    with answered():
        module, found, preprocessing = load_model(PLACE / "model")
        if found.input_shape == preprocessing.input_shape:
            module(torch.zeros(2, *found.input_shape))
    with answered():
        read_snapshot(path)


def seeds_of_checkpoints() -> list[bytes]:
    from ravine.models import Model, cnn, mlp
    from ravine.training import Kept, Setting, save_model, write_snapshot

    made = []
    for name, factory, shape, settings in (
        ("mlp", mlp, (3,), {"hidden": [4]}),
        ("cnn", cnn, (1, 4, 4), {"channels": [2], "hidden": 4}),
    ):
        draw = torch.Generator().manual_seed(0)
        found = from_arrays(torch.rand(20, *shape, generator=draw), np.arange(20) % 2, task="classification")
        model = Model(name, factory, found.input_shape, found.outputs, settings)
        kept = Kept(0, Setting(), 1, 1, {"nll": 0.5, "accuracy": 0.9}, model.build(0).state_dict())
        save_model(PLACE / "seed", kept, model, found.task, found.preprocessing)
        made.append(whole((PLACE / "seed.json").read_bytes(), (PLACE / "seed.safetensors").read_bytes()))
    state = {"run": {"step": 3, "w": torch.arange(6.0).reshape(2, 3).T}, "dtype": torch.float32, "more": [1, None, "a"]}
    write_snapshot(PLACE / "seed.state", state)
    return [*made, whole((PLACE / "seed.json").read_bytes(), (PLACE / "seed.state").read_bytes())]


# --- histories and the records beside them


def histories(data: bytes) -> None:
    """history/epochs.parquet, read as the report reads it; the same bytes as steps.parquet."""
    from ravine.reports.history import EPOCH_COLUMNS, STEP_COLUMNS, of_trial, read_curves, read_trial_numbers

    path = written("epochs.parquet", data)
    with answered():
        numbers = read_trial_numbers(path)
        curves = read_curves(path, EPOCH_COLUMNS)
        for number in numbers[:2]:
            assert curves is not None
            of_trial(curves, number)
    with answered():
        read_curves(path, STEP_COLUMNS, trial=0)


def seeds_of_histories() -> list[bytes]:
    from ravine.training.history import EPOCH_COLUMNS, STEP_COLUMNS

    found = []
    for columns in (EPOCH_COLUMNS, STEP_COLUMNS, tuple({*EPOCH_COLUMNS, *STEP_COLUMNS})):
        for compression in ("zstd", "none"):
            room = io.BytesIO()
            pq.write_table(
                pa.table({name: pa.array([0.0, 1.0, 2.0]) for name in columns}), room, compression=compression
            )
            found.append(room.getvalue())
    return found


# --- a run folder


def records(data: bytes) -> None:
    """The JSON records of a run folder, told apart by the first byte, among whole ones: its report, its result and its request."""
    from ravine.api.resuming import finished
    from ravine.api.work import WORK
    from ravine.reports import write_report

    names = (
        "config.json", "result.json", "evaluation.json", "ensemble.json", "resume/progress.json", "steps/1-initial-loss.json",
        "steps/4-coarse.json", "steps/6-curves.json",
    )  # fmt: skip
    which, content = parts(data, 2)
    folder = PLACE / "records"
    for name in names:
        (folder / name).unlink(missing_ok=True)
    written("records/config.json", CONFIG)
    written(f"records/{names[(which or b'0')[0] % len(names)]}", content)
    with answered():
        write_report(folder)
    with answered():
        finished(folder / "result.json")
    with answered():
        from ravine.recipe.request import read_request

        read_request(folder, known=WORK).again(None, None, None)
    with answered():
        from ravine.training import Saver

        Saver(folder / "resume")


CONFIG = json.dumps(
    {
        "ravine": "0.1.0", "created": "2026-01-01T00:00:00+00:00", "seed": 0, "batch_size": 32, "device": "cpu", "threads": 1,
        "data": {"name": "digits", "target": "target", "task": "classification", "input_shape": [1, 8, 8], "outputs": 3,
                 "classes": ["a", "b", "c"], "sizes": {"train": 80, "validation": 10, "test": 10}, "notes": [], "fingerprint": "0"},
        "model": {"name": "mlp", "settings": {"hidden": [4]}, "parameters": 50}, "versions": {"torch": "2"}, "budget_s": 60.0,
        "command": "ravine train", "source": {},
        "request": {"work": "train", "data": "digits", "place": ".", "model": "mlp", "options": {"seed": 0},
                    "own": {"epochs": 3, "setting": {"lr": 0.1}, "ensemble": None, "size": 5, "average": None, "patience": None}},
    }
).encode()  # fmt: skip


def seeds_of_records() -> list[bytes]:
    step = {"step": "initial-loss", "status": "pass", "summary": "s", "evidence": {}, "advice": [], "seconds": 1.0}
    result = {
        "steps": [],
        "best": None,
        "ensemble": None,
        "findings": [],
        "gain": "",
        "trials": 1,
        "seconds": 1.0,
        "out": None,
    }
    answer = {"validation": {"accuracy": 0.9, "nll": 0.3}, "test": {"accuracy": 0.9, "nll": 0.3}, "temperature": 1.1}
    return [
        whole(b"\0", CONFIG),
        whole(b"\1", json.dumps(result).encode()),
        whole(b"\2", json.dumps({"answers": {"best": answer}}).encode()),
        whole(b"\3", json.dumps({"kind": "greedy", "members": ["trial-00001"], "weights": [1.0]}).encode()),
        whole(b"\4", json.dumps({"spent": 3.5, "decided": {"grid": [1, 2, 3]}}).encode()),
        whole(b"\5", json.dumps(step).encode()),
        whole(b"\6", json.dumps({**step, "step": "coarse", "evidence": {"trials": 0}}).encode()),
    ]


# --- a study

CELLS = (
    ("trials", "state"), ("trials", "number"), ("trials", "datetime_start"), ("trial_params", "distribution_json"),
    ("trial_params", "param_value"), ("trial_params", "param_name"), ("trial_values", "value"), ("trial_values", "value_type"),
    ("trial_user_attributes", "value_json"), ("trial_user_attributes", "key"), ("study_user_attributes", "value_json"),
    ("studies", "study_name"), ("study_directions", "direction"), ("trial_intermediate_values", "step"),
    ("trial_intermediate_values", "intermediate_value"), ("version_info", "schema_version"), ("alembic_version", "version_num"),
)  # fmt: skip
"""What is overwritten in study.db."""


@functools.cache
def whole_study() -> bytes:
    """A study.db of two trials that ended."""
    from ravine.search import Int, Log, Study

    folder = PLACE / "whole-study"
    folder.mkdir()
    study = Study(folder, "classification", 0, ["sgd"])
    for _ in range(2):
        asked = study.ask("sgd", {"lr": Log(1e-3, 1.0), "hidden": Int(2, 8)}, "coarse")
        study.report(asked.number, 10, {"accuracy": 0.5, "nll": 1.0})
        study.tell(asked.number, {"accuracy": 0.6, "nll": 0.9}, epochs=1)
    study.close()
    return (folder / "study.db").read_bytes()


def studies(data: bytes) -> None:
    """study.db with another value in one column (which column, text or number, value); read for the report, and gone on with."""
    from ravine.reports.study import read_study
    from ravine.search import Log, Study

    which, kind, value = parts(data, 3)
    table, column = CELLS[(which or b"\0")[0] % len(CELLS)]
    path = written("study/study.db", whole_study())
    for beside in ("-journal", "-wal", "-shm"):
        (PLACE / "study" / f"study.db{beside}").unlink(missing_ok=True)
    text = value.decode("utf-8", "replace")
    given: Any = (
        text if kind[:1] == b"\0" else value if kind[:1] == b"\1" else int.from_bytes(value[:8], "big", signed=True)
    )
    connection = sqlite3.connect(path)
    with contextlib.suppress(sqlite3.Error), connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (given,))  # noqa: S608 - of CELLS
    connection.close()
    with answered():
        read_study(path)
    with answered():
        study = Study(PLACE / "study", "classification", 0, ["sgd"], resume=True)
        try:
            study.ask("sgd", {"lr": Log(1e-3, 1.0)}, "coarse", number=0)
        finally:
            study.close()


def seeds_of_studies() -> list[bytes]:
    odd = [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"name": "FloatDistribution", "attributes": {}}',
        b"RUNNING",
        b"nan",
        b"\xff",
        b"9" * 30,
    ]
    return [whole(bytes([i]), bytes([i % 3]), odd[i % len(odd)]) for i in range(len(CELLS))]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "tables": tables,
    "images": images,
    "spaces": spaces,
    "expressions": expressions,
    "configurations": configurations,
    "checkpoints": checkpoints,
    "histories": histories,
    "records": records,
    "studies": studies,
}

SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "tables": seeds_of_tables,
    "images": seeds_of_images,
    "spaces": seeds_of_spaces,
    "expressions": seeds_of_expressions,
    "configurations": seeds_of_configurations,
    "checkpoints": seeds_of_checkpoints,
    "histories": seeds_of_histories,
    "records": seeds_of_records,
    "studies": seeds_of_studies,
}
"""Whole inputs, which a fuzzer begins at."""

os.environ.setdefault("HF_HUB_OFFLINE", "1")
