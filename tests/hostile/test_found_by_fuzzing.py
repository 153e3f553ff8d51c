"""Every input by which fuzzing has found a fault, given to the same function again."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.hostile.targets import TARGETS, whole

from ravine.training.history import EPOCH_COLUMNS


def pandas_note(note: dict[str, Any]) -> bytes:
    """A Parquet file with a note of pandas' that pandas did not write."""
    table = pa.table({"a": [1.0, 2.0] * 10, "c": ["x", "y"] * 10}).replace_schema_metadata({"pandas": json.dumps(note)})
    room = io.BytesIO()
    pq.write_table(table, room)
    return room.getvalue()


def curves(**odd: list[Any]) -> bytes:
    """epochs.parquet with other values in a column or more."""
    columns = {name: [0.0, 1.0] for name in EPOCH_COLUMNS} | odd
    room = io.BytesIO()
    pq.write_table(pa.table(columns), room)
    return room.getvalue()


FOUND: list[tuple[str, bytes]] = [
    ("spaces", b"dropout=\xff"),  # a word where a number is needed: TypeError
    ("configurations", whole(b"\1", b"\0", b"[" * 100_000)),  # nested too deep: RecursionError
    (
        "tables",
        whole(b"\2", b"c", pandas_note({"columns": [{"name": "c"}]})),
    ),  # what pandas noted lacks a key: KeyError
    ("histories", curves(trial=[float("nan"), 1.0])),  # a trial that is no number: ValueError
    ("histories", curves(epoch=["a", "b"], step=[None, 3.5])),
]
"""(target, input)."""


@pytest.mark.parametrize(("target", "content"), FOUND, ids=[f"{target}-{i}" for i, (target, _) in enumerate(FOUND)])
def test_what_was_a_crash_is_a_value_or_one_line(target: str, content: bytes) -> None:
    TARGETS[target](content)
