"""A finished run folder, as small as one can be: two checkpoints, the best of them, and an ensemble."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ravine.data import Data
from ravine.models import Model, mlp
from ravine.training import Kept, Run, Setting, save_members, save_model

Finish = Callable[[Data], tuple[Path, list[Kept]]]


@pytest.fixture
def finish(tmp_path: Path) -> Finish:
    """Train two settings for a moment and write their folder; returns it and what was kept."""

    def work(data: Data) -> tuple[Path, list[Kept]]:
        model = Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": [7, 5]})
        run = Run(data, model, [Setting(batch_size=16, seed=k, lr=0.01) for k in range(2)], steps=30)
        run.advance(30)
        run.evaluate()
        kept = list(run.best.values())
        folder = tmp_path / "run"
        for k, one in enumerate(kept):
            save_model(folder / "checkpoints" / f"trial-{k}", one, model, data.task, data.preprocessing)
        save_model(folder / "best" / "model", kept[0], model, data.task, data.preprocessing)
        save_members(folder, "greedy", ["trial-0", "trial-1"], [1, 1])
        return folder, kept

    return work
