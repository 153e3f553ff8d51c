"""What is larger than the stated limits is refused in one line, before memory or time is spent on it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from optuna.distributions import CategoricalDistribution

import ravine
from ravine import limits
from ravine.cli import main
from ravine.data import ImagePreprocessing, Target, load
from ravine.errors import DataError, FolderError, ModelError, SettingError
from ravine.landscapes.expression import expression
from ravine.models import cnn, mlp, resnet
from ravine.search import Choice, Int, parse_space
from ravine.search.samplers import _on_grid
from ravine.training import read_json

ROOT = Path(__file__).parents[2]


def test_every_limit_is_in_the_security_policy() -> None:
    said = dict(re.findall(r"^\| `([A-Z_]+)` \| ([\d,]+) \|", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.M))
    assert said == {name: f"{limit.most:,}" for name, limit in limits.LIMITS.items()}
    assert all(getattr(limits, name) == limit.most for name, limit in limits.LIMITS.items())


# --- tables


def test_a_table_of_a_million_columns_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{i}" for i in range(1_000_000)) + "\n" + ",".join("1" * 1_000_000) + "\n")
    with pytest.raises(DataError, match="has 1,000,000 columns; a table has at most 100,000"):
        load(str(path), target="c0")


def test_a_first_line_without_an_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "line.csv"
    with path.open("wb") as file:
        file.truncate(200 * 2**30)  # 200 GB that no disk holds
    with pytest.raises(DataError, match="a first line of more than 16,777,216 characters"):
        load(str(path), target="a")


def test_a_table_larger_than_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,2\n")
        file.truncate(2**42)
    with pytest.raises(DataError, match=r"takes 4,398,046,511,104 bytes or more in memory"):
        load(str(path), target="a")


def test_a_parquet_file_that_unfolds_beyond_memory_is_refused_by_its_footer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million equal numbers take a few hundred bytes on disk."""
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({name: np.zeros(1_000_000) for name in "abcd"}), path)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr("ravine.data.table_files.free_memory", lambda _device: 2**24)
    with pytest.raises(DataError, match=r"takes 32,\d{3},\d{3} bytes or more in memory, and 16,777,216 are free"):
        load(str(path), target="a")


def test_a_packed_table_is_not_unpacked(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 50))
    with pytest.raises(DataError, match="is not a kind of file that can be used"):
        load(str(tmp_path / "t.csv.gz"), target="a")


@pytest.mark.parametrize("spec", ["a" * 5000, "a\0b", "~nobody-of-that-name/x.csv", "", " ", "/", "\ud800"])
def test_a_path_that_is_none_is_no_data(spec: str) -> None:
    with pytest.raises(DataError) as refused:
        load(spec, target="a")
    assert "\n" not in str(refused.value)


def test_a_label_beyond_the_declared_classes_is_refused(tmp_path: Path) -> None:
    """The footer of a Parquet file declares two classes; its rows have a third."""
    features = {"features": {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}}
    room = png(2, 2, b"\0" * 6)
    table = pa.table(
        {
            "image": pa.array([{"bytes": room, "path": None}] * 20),
            "label": pa.array([0, 1] * 9 + [0, 7]),
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": features})})
    pq.write_table(table, tmp_path / "pets.parquet")
    with pytest.raises(DataError, match="a label is 7, and only 2 classes are declared"):
        load(str(tmp_path / "pets.parquet"))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/random", "/dev/stdin"])
def test_a_device_is_no_data(device: str) -> None:
    with pytest.raises(DataError):
        load(device, target="a")


# --- images


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """A PNG whose header says so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


PREPROCESSING = ImagePreprocessing(target=Target(classes=("a", "b")), height=4, width=4, mean=(0.5,), std=(1.0,))


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 1), (9460, 9460)])
def test_an_image_of_absurd_size_is_refused_by_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "cat.png").write_bytes(png(*size))
    with pytest.raises(DataError, match=r"cat\.png: the image cannot be read"):
        PREPROCESSING.to_tensor(tmp_path / "cat.png")


def test_the_limit_of_pixels_holds_where_pillows_own_is_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", None)
    (tmp_path / "cat.png").write_bytes(png(100_000, 100_000))
    with pytest.raises(DataError, match="it has 100,000 x 100,000 pixels, more than 89,478,485"):
        PREPROCESSING.to_tensor(tmp_path / "cat.png")


def test_a_file_too_large_for_an_image_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "cat.png").open("wb") as file:
        file.truncate(100 * 2**30)
    with pytest.raises(DataError, match="it has 107,374,182,400 bytes, more than 268,435,456"):
        PREPROCESSING.to_tensor(tmp_path / "cat.png")


# --- records and weights


def test_a_record_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(FolderError, match="has 1,073,741,824 bytes, and a record has at most 134,217,728"):
        read_json(tmp_path / "config.json")


@pytest.mark.parametrize("settings", [{"hidden": [10**9, 10**9]}, {"hidden": 10**9}, {"hidden": [1] * 2000}])
def test_a_record_that_asks_for_a_huge_network_is_refused_before_it_is_built(
    small_run: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    shutil.copytree(small_run, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "best" / "model.json").read_text())
    (tmp_path / "run" / "best" / "model.json").write_text(json.dumps({**record, "settings": settings}))
    with pytest.raises(ModelError, match="the most"):
        ravine.load(tmp_path / "run")


def test_weights_larger_than_memory_are_refused(small_run: Path, tmp_path: Path) -> None:
    shutil.copytree(small_run, tmp_path / "run")
    with (tmp_path / "run" / "best" / "model.safetensors").open("r+b") as file:
        file.truncate(2**42)
    with pytest.raises(FolderError, match="bytes of memory are free"):
        ravine.load(tmp_path / "run")


# --- what is typed


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (mlp, {"hidden": 10**9}),
        (mlp, {"hidden": [40_000, 40_000]}),
        (cnn, {"channels": [10_000, 20_000]}),
        (cnn, {"hidden": 10**9}),
        (resnet, {"width": 10**5}),
        (resnet, {"depth": 10**6}),
    ],
)
def test_a_network_without_bounds_is_refused(make: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="the most"):
        make((1, 8, 8), 10, **settings)


@pytest.mark.parametrize(
    ("make", "settings"),
    [(mlp, {"hidden": [7, 5]}), (cnn, {"channels": [3, 4], "hidden": 5}), (resnet, {"width": 3, "depth": 2})],
)
def test_parameters_are_counted_as_they_will_be(
    monkeypatch: pytest.MonkeyPatch, make: Any, settings: dict[str, Any]
) -> None:
    """To within the few of the norms and shortcuts."""
    count = sum(p.numel() for p in make((1, 8, 8), 10, **settings).parameters())
    monkeypatch.setattr("ravine.models.widths.PARAMETERS", count)
    make((1, 8, 8), 10, **settings)
    monkeypatch.setattr("ravine.models.widths.PARAMETERS", int(0.8 * count))
    with pytest.raises(ModelError, match="parameters"):
        make((1, 8, 8), 10, **settings)


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9", "x**9**9", "(" * 100_000 + "x" + ")" * 100_000, "-" * 900 + "x", "x" + "+x" * 100_000, "9" * 5000,
        "x**" * 300 + "x", "(" * 450 + "x" + ")" * 450, "1e400**x", "exp(" * 200 + "x" + ")" * 200, "x # <b>" + "y" * 2000,
    ],
)  # fmt: skip
def test_an_expression_that_would_never_end_is_refused_or_computed_at_once(text: str) -> None:
    import torch

    with contextlib.suppress(SettingError):
        assert expression(text)(torch.ones(3, 2, dtype=torch.float64)).shape == (3,)


@pytest.mark.parametrize(
    "word",
    ["hidden=int(1,1" + "0" * 400 + ")", "hidden=int(1,9007199254740993)", "lr=" + ",".join(map(str, range(1, 10_002))),
     "lr=log(1e-320,1e400)", "hidden=int(1," + "9" * 5000 + ")", "lr=" + "1" * 100_000, "lr=" + "(" * 100_000],
)  # fmt: skip
def test_a_space_without_bounds_is_refused(word: str) -> None:
    with pytest.raises(SettingError):
        parse_space([word], structural=["hidden"])


def test_a_grid_of_a_billion_points_is_refused() -> None:
    space = {name: CategoricalDistribution(list(range(1000))) for name in "abc"}
    with pytest.raises(SettingError, match="the grid has 1,000,000,000 points; 1,000,000 are the most"):
        _on_grid(0, 0, space, 8)


def test_ranges_and_lists_end_where_it_is_said() -> None:
    Int(-limits.WHOLE, limits.WHOLE)
    with pytest.raises(SettingError, match="beyond"):
        Int(0, limits.WHOLE + 1)
    Choice(range(limits.CHOICES))
    with pytest.raises(SettingError, match="10,001 options"):
        Choice(range(limits.CHOICES + 1))


@pytest.mark.parametrize(
    "words",
    [
        "search --data digits --trials 1000000000",
        "search --data digits --epochs 1000000000",
        "tune --data digits --trials 100001",
        "train --data digits --epochs 1000001",
        "train --data digits --ensemble independent --size 1000000000",
        "search --data digits --workers 1000000",
        "train --data digits --set hidden=1000000000",
        "train --data digits --set hidden=" + "9" * 5000,
        "train --data digits --device meta",
        "train --data digits --dropout 1e400",
        "train --data digits --crop 1000000000",
        "landscape --surface ravine50 --lr 0.1 --steps 1000000000",
        "landscape --surface rosenbrock --lr 0.1 --set dimension=1000000000",
        "tune --data digits --budget " + "9" * 5000,
        "train --data digits --lr 1e400",
        "check --config deep.json",
        "check --config deep.toml",
        "check --config large.toml",
        "check --config folder.toml",
        "check --config /dev/zero",
    ],
)
def test_what_is_typed_without_bounds_is_one_line_and_exit_2(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deep.json").write_text('{"data":' + "[" * 100_000)
    Path("deep.toml").write_text("data = " + "[" * 100_000)
    with Path("large.toml").open("wb") as file:
        file.truncate(2**21)
    Path("folder.toml").mkdir()
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.strip().count("\n") == 0, said
    assert not Path("runs").exists()


def test_names_from_a_file_do_not_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("a\x1b]0;owned\x07,b\u202e\n1,2\n")
    assert main(["check", "--data", str(tmp_path / "t.csv")]) == 2
    said = capsys.readouterr().err
    assert r"a\x1b]0;owned\x07, b\u202e" in said
    assert not set("\x1b\x07\u202e") & set(said)


def test_reading_these_stays_within_a_gigabyte(tmp_path: Path) -> None:
    """Most of the above once more, by a process that may not have more memory than it needs to begin."""
    (tmp_path / "cat.png").write_bytes(png(100_000, 100_000))
    (tmp_path / "line.csv").write_bytes(b"x" * 20_000_000)
    script = """
import resource, sys
from pathlib import Path
from ravine.data import ImagePreprocessing, Target, load
from ravine.models import mlp
from ravine.errors import InputError
before = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (before + 2**30, before + 2**30))
one = ImagePreprocessing(target=Target(classes=("a", "b")), height=4, width=4, mean=(0.5,), std=(1.0,))
for work in (lambda: one.to_tensor("cat.png"), lambda: load("line.csv", target="a"), lambda: mlp((1,), 2, hidden=10**9)):
    try:
        work()
    except InputError as error:
        print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["refused"] * 3, done.stderr
