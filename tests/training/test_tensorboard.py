"""Event files that TensorBoard itself can read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ravine.errors import SettingError
from ravine.training import History
from ravine.training.tensorboard import EventWriter


def row(trial: int, step: int, loss: float) -> dict[str, float]:
    return {
        "trial": trial, "epoch": 1, "step": step, "train_loss": loss, "train_metric": 0.5,
        "validation_loss": 2 * loss, "validation_metric": 0.25,
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_trial_is_a_run_with_its_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = EventWriter(tmp_path)
    history = History(on_epoch=writer)
    for trial, step, loss in ((0, 10, 1.5), (7, 10, 3.0), (0, 20, 1.25), (7, 20, float("nan"))):
        history.epoch(**row(trial, step, loss))
    writer.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["trial-00000", "trial-00007"]
    seen = EventAccumulator(str(tmp_path / "trial-00000"))
    seen.Reload()
    assert sorted(seen.Tags()["scalars"]) == ["train/loss", "train/metric", "validation/loss", "validation/metric"]
    assert [(event.step, event.value) for event in seen.Scalars("train/loss")] == [(10, 1.5), (20, 1.25)]
    assert [(event.step, event.value) for event in seen.Scalars("validation/loss")] == [(10, 3.0), (20, 2.5)]
    broken = EventAccumulator(str(tmp_path / "trial-00007"))
    broken.Reload()
    assert [event.step for event in broken.Scalars("train/loss")] == [10]  # what is not finite is left out


def test_without_tensorboard_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingError, match=r"pip install 'ravine\[dashboard\]'"):
        EventWriter(tmp_path)
