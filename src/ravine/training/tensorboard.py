"""TensorBoard event files, written while training: a run folder can be watched live."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ravine.errors import SettingError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["EventWriter"]


class EventWriter:
    """Called with every row of History.epochs; each trial is a run of its own below `folder`.

    Raises SettingError when tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SettingError(
                "--tensorboard needs the tensorboard package: write pip install 'ravine[dashboard]'."
            ) from error
        self._open, self._folder = SummaryWriter, folder
        self._writers: dict[int, SummaryWriter] = {}

    def __call__(self, row: dict[str, float]) -> None:
        trial = int(row["trial"])
        if trial not in self._writers:
            self._writers[trial] = self._open(str(self._folder / f"trial-{trial:05d}"))
        for name in ("train_loss", "train_metric", "validation_loss", "validation_metric"):
            if math.isfinite(row[name]):
                self._writers[trial].add_scalar(name.replace("_", "/"), row[name], int(row["step"]))

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
