"""Every input by which fuzzing has found a fault, given to the same function again."""

from __future__ import annotations

import pytest
from tests.hostile.targets import TARGETS, whole

FOUND: list[tuple[str, bytes]] = [
    ("spaces", b"dropout=\xff"),  # a word where a number is needed: TypeError
    ("configurations", whole(b"\1", b"\0", b"[" * 100_000)),  # nested too deep: RecursionError
]
"""(target, input)."""


@pytest.mark.parametrize(("target", "content"), FOUND, ids=[f"{target}-{i}" for i, (target, _) in enumerate(FOUND)])
def test_what_was_a_crash_is_a_value_or_one_line(target: str, content: bytes) -> None:
    TARGETS[target](content)
