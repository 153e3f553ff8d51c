"""Trainings that one process and two must end alike, and what two processes do in a test.

`torchrun shared_works.py PICTURES OUT` walks through them all in one group, because torch takes seconds to load. How each
ended is told in OUT/NAME.RANK.json.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import ravine
from ravine.regularization import Dropout


def normalized(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A small network with batch norm and dropout."""
    layers = [nn.Conv2d(input_shape[0], 4, 5, stride=3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.1), nn.Flatten()]
    with torch.no_grad():
        width = nn.Sequential(*layers)(torch.zeros(2, *input_shape)).shape[1]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


class Fragile(nn.Module):
    """Rank 1 is killed in its 20th forward of training."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.Linear(16, outputs))
        self.dropout, self.seen = Dropout(0.1), 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += self.training
        if self.seen == 20 and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.body(self.dropout(x))


def fragile(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Fragile(torch.Size(input_shape).numel(), outputs)


class Faulty(Fragile):
    """Rank 1 fails in its 20th forward of training."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen += self.training
        if self.seen == 20 and os.environ.get("RANK") == "1":
            raise ValueError("no more")
        return self.body(x)


def faulty(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Faulty(torch.Size(input_shape).numel(), outputs)


HERE = str(Path(__file__).resolve())

# A batch of 25 makes parts of 13 and 12; the settings are such that rounding is not blown up.
MLP = {"make_model": "mlp", "settings": {"hidden": [32]}, "epochs": 3, "batch_size": 25}
SETTING = {"optimizer": "sgd", "lr": 0.05, "dropout": 0.2}
CNN = {"make_model": f"{HERE}:normalized", "epochs": 3, "batch_size": 25}

WORKS: dict[str, dict[str, Any]] = {
    "mlp": {**MLP, "setting": {**SETTING, "l2": 1e-4}},
    "cnn": {
        **CNN,
        "setting": {"optimizer": "sgd", "lr": 0.02, "mixup": 0.2, "translate": 0.1},
        "sharing": {"sync_batch_norm": True},
    },
    "parts": {**MLP, "setting": SETTING, "sharing": {"accumulate": 3, "clip_norm": 0.5}},
    "divided": {**MLP, "setting": {**SETTING, "optimizer": "adam", "lr": 1e-3}, "sharing": {"strategy": "fsdp"}},
    "scaled": {**MLP, "setting": {**SETTING, "lr": 0.01}, "batch_size": 12, "sharing": {"scale_lr": "linear"}},
    "stopped": {**MLP, "setting": {**SETTING, "schedule": "plateau"}, "epochs": 6, "patience": 5},
    "stopped-divided": {**MLP, "setting": SETTING, "epochs": 6, "sharing": {"strategy": "fsdp"}},
    "too-small": {**MLP, "batch_size": 1},
    "members": {**MLP, "ensemble": "independent"},
    "norms": {**MLP, "setting": {"optimizer": "muon"}, "sharing": {"strategy": "fsdp"}},
    "faulty": {**CNN, "make_model": f"{HERE}:faulty"},  # last: it leaves nobody to go on with
}


def stopping(row: dict[str, float]) -> None:
    """SIGTERM to this process at the end of the second epoch, and of the fourth."""
    if row["epoch"] in (2, 4):
        os.kill(os.getpid(), signal.SIGTERM)


def main(pictures: str, out: Path) -> None:
    for name, work in WORKS.items():
        on_epoch = stopping if name.startswith("stopped") else None
        try:
            said: Any = ravine.train(data=pictures, out=out / name, on_epoch=on_epoch, **work).record()
        except SystemExit as end:
            said = {"status": end.code}
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        (out / f"{name}.{os.environ['RANK']}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
