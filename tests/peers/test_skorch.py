"""skorch-dev/skorch: best weights, kept in parallel and after an early stop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ravine.data import Data
from ravine.errors import FolderError
from ravine.recipe.folder import Folder
from ravine.regularization import EarlyStopping
from ravine.training import Setting, save_model
from ravine.training.checkpoints import load_model

from .reports import report
from .small import normalized, own, run

SKORCH = "skorch-dev/skorch"


@report(
    SKORCH,
    819,
    "Checkpoint(load_best=True) fails when nets are trained in parallel: all write their best weights to the same place.",
    ravine="Every trial keeps its own best weights; two runs cannot write into one folder.",
)
def test_819_trials_side_by_side_keep_their_own_best_weights(three_classes: Data, tmp_path: Path) -> None:
    settings = [Setting("sgd", lr=lr, batch_size=16, seed=k) for k, lr in enumerate((0.01, 0.1, 1.0))]
    together = run(three_classes, *settings, every=4, steps=24)
    together.advance(24)
    model = own(three_classes)
    for k, setting in enumerate(settings):
        alone = run(three_classes, setting, every=4, steps=24)
        alone.advance(24)
        assert together.best[k].validation == alone.best[0].validation
        stem = tmp_path / "checkpoints" / f"trial-{k}"
        save_model(stem, together.best[k], model, three_classes.task, three_classes.preprocessing)
        assert all(torch.equal(alone.best[0].state[name], value) for name, value in together.best[k].state.items())
    modules = [load_model(tmp_path / "checkpoints" / f"trial-{k}", model.factory)[0] for k in range(3)]
    assert len({next(module.parameters()).sum().item() for module in modules}) == 3
    folder = Folder.create(tmp_path / "run")
    with pytest.raises(FolderError):
        Folder.create(tmp_path / "run", overwrite=True)
    folder.close()


@report(
    SKORCH,
    808,
    "EarlyStopping ends with the weights of its last epoch, which is `patience` epochs past the best one.",
    ravine="EarlyStopping keeps a copy of the best state, statistics included, and restore brings it back.",
)
def test_808_early_stopping_gives_back_the_weights_of_the_best_epoch() -> None:
    module = normalized((4,), 3)
    stopping, best = EarlyStopping(2), {}
    for epoch, loss in enumerate((1.0, 0.5, 0.7, float("nan"), 0.1)):
        with torch.no_grad():
            module[0].weight.fill_(epoch)
            module[1].running_mean.fill_(epoch)
        if epoch == 1:
            best = {name: value.clone() for name, value in module.state_dict().items()}
        if stopping.update(loss, module):
            break
    assert (epoch, stopping.best, stopping.best_update) == (3, 0.5, 2)
    stopping.restore(module)
    assert all(torch.equal(best[name], value) for name, value in module.state_dict().items())
