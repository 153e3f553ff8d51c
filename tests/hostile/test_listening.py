"""Nothing that Ravine begins by itself listens to other machines. Read from /proc while it works."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import ravine

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

LISTENS = "0A"


def listening() -> set[str]:
    """The addresses, in hexadecimal, at which this process takes connections from other machines."""
    ours = set()
    for each in Path("/proc/self/fd").iterdir():
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(each))
        except OSError:  # closed by now
            continue
        if found:
            ours.add(found[1])
    rows = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]
    ]
    at = {row[1] for row in rows if row[3] == LISTENS and row[9] in ours}
    loopback = re.compile(r"[0-9A-F]{6}7F:.*|0{24}01000000:.*|0{16}FFFF0000[0-9A-F]{6}7F:.*")
    return {address for address in at if not loopback.fullmatch(address)}


@pytest.mark.parametrize("way", ["one process", "parts", "two workers"])
def test_nothing_listens_to_other_machines(flowers: Path, way: str) -> None:
    heard: list[set[str]] = []
    more: dict[str, Any] = {
        "target": "kind",
        "settings": {"hidden": [4]},
        "on_epoch": lambda _row: heard.append(listening()),
    }
    before = listening()
    if way == "two workers":
        space = {"lr": ravine.search.Log(1e-3, 1e-1), "optimizer": ravine.search.Choice(["sgd"])}
        ravine.run_search(
            "mlp", str(flowers), space=space, trials=4, epochs=4, known=False, workers=2, device="cpu", **more
        )
    else:
        ravine.train("mlp", str(flowers), epochs=2, sharing={"accumulate": 2} if way == "parts" else None, **more)
    assert heard
    assert all(each <= before for each in heard)


def test_a_listener_would_be_seen() -> None:
    import socket

    before = listening()
    with socket.create_server(("0.0.0.0", 0)):  # noqa: S104 - for a moment, to see that it is seen
        assert any(address.startswith("00000000:") for address in listening() - before)
    with socket.create_server(("127.0.0.1", 0)):
        assert listening() == before
