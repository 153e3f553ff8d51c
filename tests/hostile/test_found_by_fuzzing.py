"""Every input by which fuzzing has found a fault, given to the same function again."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.hostile.targets import TARGETS, whole


def pandas_note(note: dict[str, Any]) -> bytes:
    """A Parquet file with a note of pandas' that pandas did not write."""
    table = pa.table({"a": [1.0, 2.0] * 10, "c": ["x", "y"] * 10}).replace_schema_metadata({"pandas": json.dumps(note)})
    room = io.BytesIO()
    pq.write_table(table, room)
    return room.getvalue()


FOUND: list[tuple[str, bytes]] = [
    ("spaces", b"dropout=\xff"),  # a word where a number is needed: TypeError
    ("configurations", whole(b"\1", b"\0", b"[" * 100_000)),  # nested too deep: RecursionError
    (
        "tables",
        whole(b"\2", b"c", pandas_note({"columns": [{"name": "c"}]})),
    ),  # what pandas noted lacks a key: KeyError
]
"""(target, input)."""


@pytest.mark.parametrize(("target", "content"), FOUND, ids=[f"{target}-{i}" for i, (target, _) in enumerate(FOUND)])
def test_what_was_a_crash_is_a_value_or_one_line(target: str, content: bytes) -> None:
    TARGETS[target](content)
