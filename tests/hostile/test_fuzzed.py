"""Every reader and parser over what Hypothesis draws: a value or one of Ravine's errors in one line, and nothing else.

The same functions are fuzzed by atheris (`fuzz/run.py`). RAVINE_FUZZ_EXAMPLES=2000 tries more than the few of the usual tests.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hostile import targets
from tests.hostile.targets import SEEDS, TARGETS, parts, whole

EXAMPLES = int(os.environ.get("RAVINE_FUZZ_EXAMPLES", "25"))
few = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES < 100,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def mutated(seed: bytes, draw: random.Random, times: int) -> bytes:
    """The bytes with a few places overwritten, taken out, put in or repeated, or cut short."""
    found = bytearray(seed)
    for _ in range(times):
        at = draw.randrange(len(found) + 1)
        length = draw.choice([1, 1, 2, 4, 16])
        kind = draw.randrange(5)
        if kind == 0:
            found[at : at + length] = draw.randbytes(length)
        elif kind == 1:
            del found[at : at + length]
        elif kind == 2:
            found[at:at] = draw.choice(
                [draw.randbytes(length), b"\0" * length, b"9" * length, b"-", b"[", b'"', b"\xff" * 4]
            )
        elif kind == 3:
            found[at:at] = found[at : at + 16 * length]
        elif draw.random() < 0.3:
            del found[at:]
    return bytes(found)


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_whole_and_is_damaged_is_a_value_or_one_line(name: str) -> None:
    seeds = SEEDS[name]()
    for seed in seeds:
        TARGETS[name](seed)

    @settings(few, max_examples=EXAMPLES // 5 if name == "studies" else EXAMPLES)  # SQLite takes its time
    @given(st.integers(0, 2**32), st.integers(1, 12))
    def holds(number: int, times: int) -> None:
        draw = random.Random(number)  # noqa: S311 - a test
        TARGETS[name](mutated(draw.choice(seeds), draw, times))

    holds()


CELLS = st.one_of(
    st.text(max_size=8),
    st.floats().map(repr),
    st.integers().map(str),
    st.sampled_from(["", "?", "nan", "1e999", "-0", '"', "True"]),
)


@few
@given(st.data())
def test_a_table_of_any_cells_is_a_value_or_one_line(data: st.DataObject) -> None:
    columns, rows = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 14))
    body = data.draw(st.lists(st.lists(CELLS, min_size=columns, max_size=columns), min_size=rows, max_size=rows))
    names = [f"c{i}" for i in range(columns)]
    text = "\n".join(data.draw(st.sampled_from([",", ";", "\t"])).join(line) for line in [names, *body, *body])
    targets.tables(whole(b"\0", b"c0", text.encode("utf-8", "surrogatepass")))


FRAGMENTS = [
    "x",
    "y",
    "1",
    "9" * 20,
    "e",
    "pi",
    "(",
    ")",
    "+",
    "-",
    "*",
    "**",
    "^",
    "/",
    "sin(",
    "min(",
    ",",
    "log(",
    " ",
    "0",
    ".",
    "1e9",
    "j",
    "#",
]


@few
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join))
def test_an_expression_of_any_fragments_is_a_value_or_one_line(text: str) -> None:
    targets.expressions(text.encode())


WORDS = ["lr", "hidden", "dropout", "optimizer", "cycles", "schedule", "warm_restarts", "sgd", "=", "log(", "int(", "uniform(", ",", ")", "1e-4",
         "0", "-1", "1e400", "nan", "inf", "9" * 25, "log", "\n", "h", "m", "1", ".5", "²", "true"]  # fmt: skip


@few
@given(st.lists(st.sampled_from(WORDS), max_size=30).map("".join))
def test_a_space_of_any_words_is_a_value_or_one_line(text: str) -> None:
    targets.spaces(text.encode())


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["mlp", "nan", "train", "<b>"]),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    found = [path] if path else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        found += places(item, (*path, key))
    return found


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    copy = json.loads(json.dumps(value))
    part = copy
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = by
    return copy


@pytest.mark.parametrize("name", ["records", "checkpoints", "configurations"])
def test_a_record_with_any_value_in_any_place_is_a_value_or_one_line(name: str) -> None:
    seeds = [seed for seed in SEEDS[name]() if _json(seed, name) is not None]

    @few
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        seed = data.draw(st.sampled_from(seeds))
        record = _json(seed, name)
        record = replaced(record, data.draw(st.sampled_from(places(record))), data.draw(JSON))
        TARGETS[name](_with_json(seed, name, json.dumps(record).encode("utf-8", "surrogatepass")))

    holds()


AT = {"records": (2, 1), "checkpoints": (2, 0), "configurations": (3, 2)}
"""How many pieces the bytes have, and which of them is JSON."""


def _json(seed: bytes, name: str) -> Any:
    count, at = AT[name]
    try:
        found = json.loads(parts(seed, count)[at])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _with_json(seed: bytes, name: str, text: bytes) -> bytes:
    count, at = AT[name]
    pieces = parts(seed, count)
    return whole(*(text if i == at else piece for i, piece in enumerate(pieces)))


def test_nothing_is_written_outside_the_folder_of_the_fuzzed_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, target in TARGETS.items():
        for seed in SEEDS[name]()[:3]:
            target(seed)
    assert list(tmp_path.iterdir()) == []
