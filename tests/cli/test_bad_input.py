"""Whatever cannot be used is answered with exit 2 and one line that says what was found and what to write.

Nothing goes to standard output, no traceback is shown, and no run folder is left behind.
"""

from __future__ import annotations

import errno
import io
import re
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import Answer, Ravine

FACTORIES = """
import torch
from torch import nn
number = 3
def text(input_shape, outputs): return "a model"
def narrow(input_shape, outputs): return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
def broken(input_shape, outputs): raise KeyError("width")
def picky(input_shape, outputs): return nn.Linear(3, outputs)
class Pair(nn.Linear):
    def forward(self, x): return super().forward(x), x
def pair(input_shape, outputs): return nn.Sequential(nn.Flatten(), Pair(64, outputs))
"""


@pytest.fixture(autouse=True)
def factories(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(FACTORIES)
    (tmp_path / "wrong.py").write_text("def net(:\n")


def refused(answer: Answer, *said: str) -> None:
    """Exit 2, one line on standard error with all that is `said` in it, and nothing else."""
    assert answer.status == 2, answer.err
    assert answer.out == ""
    lines = answer.err.strip().splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("ravine: ")
    for pattern in said:
        assert re.search(pattern, lines[0]), (pattern, lines[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("tune", ["Missing option.*--data"]),
        ("tune --data nowhere.csv --target kind", ["no file.*nowhere.csv"]),
        ("tune --data nowhere", ["nowhere", "digits"]),
        ("tune --data TABLE", ["--target NAME", "petal, sepal, colour, kind"]),
        ("tune --data TABLE --target kinf", ["no column 'kinf'", "did you mean kind"]),
        (
            "tune --data TABLE --target kind --task clustering",
            ["--task is 'clustering'", "classification or regression"],
        ),
        ("tune --data TABLE --target kind --task regression", ["row 2 of flowers.csv", "'iris'", "number"]),
        ("tune --data TABLE --target kind --test nowhere.csv", ["nowhere.csv"]),
        ("tune --data TABLE --target kind --categorical color", ["color", "did you mean colour"]),
        ("tune --data digits --budget soon", ["budget 'soon'", "60s, 5m"]),
        ("tune --data digits --budget 0s", ["budget '0s'", "at least 1 s"]),
        ("tune --data digits --budget -5m", ["budget '-5m'"]),
        ("tune --data digits --trials 0", ["trials is 0", "1 or more"]),
        ("tune --data digits --batch-size 0", ["batch_size is 0"]),
        ("tune --data digits --device abacus", ["device 'abacus'", "write cpu"]),
        ("tune --data digits --seed one", ["--seed.*'one'"]),
        ("tune --data digits --bugdet 5m", ["--bugdet", "--budget"]),
        ("tune --data digits --model mpl", ["model 'mpl'", "did you mean mlp"]),
        ("tune --data digits --model nowhere.package:net", ["cannot import 'nowhere.package'"]),
        ("tune --data digits --model nets.py:text", ["returned str", "nn.Module"]),
        ("tune --data digits --model nets.py:number", ["is int, not a callable"]),
        ("tune --data digits --model nets.py:narow", ["no 'narow'", "did you mean narrow"]),
        ("tune --data digits --model nets.py:narrow", [r"shape \(2, 7\)", r"needs \(2, 10\)"]),
        ("tune --data digits --model nets.py:broken", ["failed to build", "KeyError: 'width'"]),
        ("tune --data digits --model nets.py:picky", ["cannot take a batch of shape", "3"]),
        ("tune --data digits --model nets.py:pair", ["returns tuple", r"\(2, 10\)"]),
        ("tune --data digits --model wrong.py:net", ["wrong.py", "SyntaxError"]),
        ("tune --data digits --model gone.py:net", ["no file gone.py"]),
        ("tune --data digits --set hiden=8", ["no setting 'hiden'", "did you mean hidden"]),
        ("tune --data digits --set hidden", ["KEY=VALUE"]),
        ("tune --data digits --set hidden=wide", ["hidden", "wide"]),
        ("tune --data digits --set hidden=0", ["hidden", "0"]),
        ("tune --data digits --model cnn --set channels=8,8,8,8", ["halves the image 4 times", "8 x 8"]),
        ("tune --data digits --config none.toml", ["no file none.toml"]),
        ("lr-range --data digits --optimizer adma", ["optimizer 'adma'", "did you mean adam"]),
        ("train --data digits --optimizer lion2", ["optimizer 'lion2'", "known"]),
        ("train --data digits --schedule cosin", ["schedule 'cosin'", "did you mean cosine"]),
        ("train --data digits --lr -1", ["lr is -1", "positive"]),
        ("train --data digits --lr nan", ["lr is nan"]),
        ("train --data digits --epochs 0", ["epochs is 0"]),
        ("train --data digits --dropout 1", ["dropout is 1", r"\[0, 1\)"]),
        ("train --data digits --momentum 0.9", ["adamw has no momentum"]),
        ("train --data digits --weight-decay -1", ["weight_decay is -1"]),
        ("train --data digits --warmup 500", ["500", "fraction of training"]),
        ("train --data digits --mixup -1", ["mixup is -1"]),
        ("train --data digits --label-smoothing 1", ["label_smoothing is 1"]),
        ("train --data digits --max-norm 0", ["0", "max_norm|MaxNorm"]),
        ("train --data digits --l1 -1", ["-1"]),
        ("train --data digits --proximal", ["proximal", "l1"]),
        ("train --data digits --mixup 0.2 --batch-size 1", ["mixup", "batch_size is 1: make it 2 or more"]),
        ("train --data TABLE --target kind --flip 0.5", ["flip is for images", r"shape \(", "leave flip out"]),
        ("train --data TABLE --target kind --cutmix 1", ["cutmix is for images"]),
        ("train --data TABLE --target petal --label-smoothing 0.1", ["label_smoothing is for classification"]),
        ("train --data digits --stochastic-depth 0.2", ["no StochasticDepth layer"]),
        ("train --data digits --crop 9", ["crop", "8"]),
        (
            "train --data digits --ensemble bagging",
            ["ensemble 'bagging'", "known: checkpoints, independent, snapshots"],
        ),
        ("train --data digits --ensemble checkpoints --epochs 3", ["5 checkpoints need 5 epochs, and there are 3"]),
        ("train --data digits --ensemble independent --size 0", ["0 has no members", "1 or more"]),
        ("train --data digits --average swaa", ["average 'swaa'", "did you mean swa"]),
        ("train --data digits --average ema --ensemble independent", ["leave one of the two out"]),
        ("train --data digits --patience 0", ["patience is 0"]),
        ("train --data digits --cycles 3", ["cosine has no cycles", "warm_restarts"]),
        ("tune --data digits --space mixupp", ["'mixupp' cannot be searched; did you mean mixup"]),
        ("tune --data TABLE --target kind --space cutmix", ["cutmix is for images"]),
        ("tune --data digits --space lr=fast(1,2)", ["cannot be read", "write NAME=log"]),
        ("evaluate nowhere", ["no folder nowhere"]),
        ("report nowhere", ["nowhere is not a folder"]),
        ("tnue --data digits", ["tnue"]),
    ],
)
def test_a_wrong_word_is_answered_in_one_line(ravine: Ravine, table: Path, words: str, said: list[str]) -> None:
    refused(ravine(*words.replace("TABLE", str(table)).split()), *said)
    assert not Path("runs").exists()


def with_lines(change: Callable[[list[str]], list[str]]) -> Callable[[Path], str]:
    return lambda table: "\n".join(change(table.read_text().splitlines())) + "\n"


def in_cell(row: int, column: int, text: str) -> Callable[[list[str]], list[str]]:
    """One cell changed; row 1 is the header, as a person counts."""

    def change(lines: list[str]) -> list[str]:
        cells = lines[row - 1].split(",")
        cells[column] = text
        return [*lines[: row - 1], ",".join(cells), *lines[row:]]

    return change


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda _: "", ["is empty"]),
        (with_lines(lambda lines: lines[:1]), ["no rows"]),
        (with_lines(lambda lines: lines[:8]), ["7 rows", "at least 10"]),
        (with_lines(lambda lines: [line.replace("rose", "iris") for line in lines]), ["'iris' in every row"]),
        (with_lines(in_cell(31, 0, "tall")), ["row 31", "'petal'", "'tall'", "--categorical petal"]),
        (with_lines(in_cell(9, 3, "")), ["row 9", "no value in the target column 'kind'"]),
        (with_lines(in_cell(12, 1, "inf")), ["sepal"]),
        (with_lines(in_cell(1, 1, "petal")), ["more than one column named 'petal'"]),
        (with_lines(in_cell(5, 3, "rose,extra")), ["mended.csv"]),
        (lambda _: "petal,kind\n\x00\x00", ["mended.csv"]),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    ravine: Ravine, table: Path, tmp_path: Path, content: Callable[[Path], str], said: list[str]
) -> None:
    (tmp_path / "mended.csv").write_text(content(table))
    refused(ravine("tune", "--data", "mended.csv", "--target", "kind"), *said)
    assert not Path("runs").exists()


def test_a_corrupt_image_is_named(ravine: Ravine, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(12):
            Image.fromarray(draw.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / f"pets/{name}/{i}.png")
    bad = tmp_path / "pets" / "dog" / "7.png"
    held = io.BytesIO()
    Image.fromarray(draw.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(held, "PNG")
    bad.write_bytes(held.getvalue()[:60])
    refused(ravine("tune", "--data", "pets"), r"pets/dog/7\.png", "cannot be read")
    assert not Path("runs").exists()


def test_a_run_folder_that_exists_is_not_touched(ravine: Ravine, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "config.json").write_text("{}")
    refused(ravine("tune", "--data", "digits", "--out", "kept"), "kept exists", "--overwrite")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["config.json"]


@pytest.mark.parametrize("words", ["tune --data digits --model nets.py:narrow", "tune --data digits --budget soon"])
def test_a_run_that_cannot_begin_leaves_the_old_one_as_it_was(ravine: Ravine, tmp_path: Path, words: str) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "config.json").write_text("{}")
    refused(ravine(*words.split(), "--out", "kept", "--overwrite"))
    assert (tmp_path / "kept" / "config.json").read_text() == "{}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """A small finished run, to be copied and damaged."""
    import ravine as package

    out = tmp_path_factory.mktemp("runs") / "flowers"
    package.train(
        "mlp", str(table), target="kind", epochs=1, settings={"hidden": [4]}, ensemble="independent", size=2, out=out
    )
    return out


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("best/model.safetensors", lambda p: p.write_bytes(p.read_bytes()[:100]), ["model.safetensors", "damaged"]),
        ("best/model.safetensors", lambda p: p.unlink(), ["model.safetensors", "missing"]),
        ("best/model.json", lambda p: p.write_text("{"), ["model.json is damaged"]),
        ("best/model.json", lambda p: p.unlink(), ["no .*model.json"]),
        ("best/model.json", lambda p: p.write_text(p.read_text().replace('"hidden"', '"hiden"')), ["hiden"]),
        ("best/model.json", lambda p: p.write_text(p.read_text().replace('"outputs": 2', '"outputs": 3')), ["damaged"]),
        ("ensemble.json", lambda p: p.write_text('{"members": ["../../etc"]}'), ["ensemble.json is damaged"]),
        ("evaluation.json", lambda p: p.write_text("[]"), ["evaluation.json is damaged"]),
    ],
)
def test_a_damaged_run_is_said_to_be_damaged(
    ravine: Ravine, finished: Path, tmp_path: Path, name: str, damage: Callable[[Path], object], said: list[str]
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    assert ravine("evaluate", "run").status == 0
    damage(tmp_path / "run" / name)
    refused(ravine("evaluate", "run"), *said)


def test_data_of_another_kind_is_refused_by_a_trained_model(ravine: Ravine, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,kind\n" + "1,iris\n2,rose\n" * 10)
    refused(ravine("evaluate", finished, "--data", "other.csv"), "other.csv lacks the columns petal")
    refused(ravine("evaluate", finished, "--data", "digits"), "digits", "trained on a table")


@pytest.mark.parametrize("bytes_left", [2_000, 20_000, 100_000, 300_000])
def test_no_space_left_is_said_in_one_line(process: Ravine, tmp_path: Path, bytes_left: int) -> None:
    """A file that may not grow stands in for a full disk: the same refusal by the system, another number."""
    assert errno.EFBIG != errno.ENOSPC

    def no_space() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, bytes_left))

    words = ("tune", "--data", "digits", "--budget", "12s", "--set", "hidden=16", "--out", "run")
    answer = process(*words, preexec_fn=no_space)
    assert answer.status == 2, answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    assert re.search("^ravine: (no space left while writing|cannot write) .*run/", answer.err.splitlines()[-1]), (
        answer.err
    )
    assert [path for path in (tmp_path / "run").rglob("*") if path.name.endswith(".partial")] == []
