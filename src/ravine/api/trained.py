"""What is asked of a run that has a model: its metrics, and the curvature around it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from ravine.data import MemorySplit, read_labelled
from ravine.errors import InputError, SettingError
from ravine.recipe.budget import Budget, parse_duration
from ravine.recipe.folder import Folder, recorded_answers
from ravine.recipe.handback import sampled_outputs, score
from ravine.recipe.inspection import EXAMPLES, Inspection, inspect_trained, trained_with
from ravine.recipe.loss_slices import other_than
from ravine.recipe.prepare import device_of
from ravine.recipe.reopen import read_run_record, reopened
from ravine.reports import write_report
from ravine.training import Ensemble, load, outputs_of
from ravine.types import Metrics

__all__ = ["evaluate", "inspect"]


def evaluate(
    folder: str | Path, data: str | None = None, *, make_model: Callable[..., nn.Module] | None = None
) -> dict[str, Metrics]:
    """Metrics of a run's best model ("best"), of its ensemble (by its kind), and of Monte-Carlo dropout ("mc_dropout").

    Classification: accuracy, nll, ece (15 bins), brier, and nll and ece after the temperature that the run fitted
    on its validation split. data: a labelled file in the layout the model was trained on; not given: what the run
    recorded of its test split.
    """
    folder = Path(folder)
    best, record = load(folder, make_model=make_model), recorded_answers(folder)
    modules = {"best": best.module}
    for kind in record.keys() - {"best", "mc_dropout"}:
        modules[kind] = load(folder, ensemble=True, make_model=make_model).module
    if data is None:
        return {name: answer["test"] for name, answer in record.items()}
    split, scale = MemorySplit(*read_labelled(best.preprocessing, data)), best.preprocessing.target.std
    outputs = {name: outputs_of(modules[name], split) for name in record if name in modules}
    if "mc_dropout" in record:
        outputs["mc_dropout"] = sampled_outputs(best.module, split, best.task)
    return {
        name: score(best.task, out, split.y, scale=scale, temperature=record[name].get("temperature"))
        for name, out in outputs.items()
    }


def inspect(
    folder: str | Path,
    data: Any = None,
    *,
    split: str = "train",
    examples: int = EXAMPLES,
    budget: str | float | None = "60s",
    lr: float | None = None,
    momentum: float = 0.9,
    seed: int = 0,
    device: str = "auto",
    make_model: Callable[..., nn.Module] | None = None,
    started: float | None = None,
) -> Inspection:
    """Measure the curvature around a run's best model: written to inspection.json, and a section of report.html.

    data: where the run's data lie now, if they were moved, or the arrays (x, y) it was given. split: train or
    validation; at most `examples` of it are looked at, drawn by `seed`.
    budget: wall clock from `started` (time.monotonic; now, if not given); what does not fit is left out, and the notes say so.
    lr, momentum: as in `ravine.curvature.inspect_model`.
    Raises FolderError for a folder without a model, and InputError for all else that cannot be inspected.
    """
    folder, clock = Path(folder), Budget(None if budget is None else parse_duration(str(budget)), started=started)
    if examples < 1:
        raise SettingError(f"examples is {examples}; it must be 1 or more: {EXAMPLES} are usual.")
    best, place = load(folder, make_model=make_model), device_of(device)
    record = read_run_record(folder)
    found = reopened(record, best, data, split=split)
    other, said = _another(folder, best.module, make_model)
    if clock.left < 0.1:
        raise SettingError(
            f"budget is {clock.seconds:g} s, and {clock.spent:.1f} s are gone now that model and data are read: write "
            f"--budget {math.ceil(clock.spent) + 30}s."
        )
    inspection = inspect_trained(
        best.module.to(place),
        found.rows,
        best.task,
        trained_with(best.record.hyperparameters, record.batch_size),
        trial=best.record.trial,
        name=found.name,
        other=other,
        examples=examples,
        seconds=0.9 * clock.left,
        lr=lr,
        momentum=momentum,
        notes=(*found.notes, *said),
        seed=seed,
    )
    Folder(folder).inspection(inspection)
    write_report(folder)
    return inspection


def _another(
    folder: Path, model: nn.Module, make_model: Callable[..., nn.Module] | None
) -> tuple[nn.Module | None, list[str]]:
    """A member of the run's ensemble that is not its best model, if there is one, and what to say where it is damaged."""
    if not (folder / "ensemble.json").is_file():
        return None, []
    try:
        ensemble = load(folder, ensemble=True, make_model=make_model).module
    except InputError as error:
        return None, [f"the slice to another model of the ensemble was left out: {error}"]
    assert isinstance(ensemble, Ensemble)
    return other_than(model, list(ensemble.members)), []
