"""One loop, its history, checkpoints, evaluation, calibration, averages and ensembles."""

from ravine.training.averages import AVERAGES, EMA, SWA, LastK, WeightAverage, load_into
from ravine.training.batch_norm import best_of, choose_average, has_batch_norm, reestimate_batch_norm
from ravine.training.batches import check_fit
from ravine.training.calibration import (
    Reliability,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    reliability,
    scores,
)
from ravine.training.checkpoints import ModelRecord, load_model, save_model
from ravine.training.ensembles import Ensemble, averaged
from ravine.training.evaluation import confusion, evaluate, outputs_of
from ravine.training.files import read_json, write_atomically, write_json
from ravine.training.greedy import Selection, greedy_selection
from ravine.training.history import History
from ravine.training.members import KINDS, Trained, averaging_for, plan, train_members
from ravine.training.objective import LOSSES, headline, losses_of, measure, rank
from ravine.training.predictor import Predictor, combine, load, save_members
from ravine.training.run import Averaging, Kept, Run
from ravine.training.saver import Saver
from ravine.training.setting import Setting
from ravine.training.snapshots import State, read_snapshot, write_snapshot

__all__ = [
    "AVERAGES",
    "EMA",
    "KINDS",
    "LOSSES",
    "SWA",
    "Averaging",
    "Ensemble",
    "History",
    "Kept",
    "LastK",
    "ModelRecord",
    "Predictor",
    "Reliability",
    "Run",
    "Saver",
    "Selection",
    "Setting",
    "State",
    "Trained",
    "WeightAverage",
    "averaged",
    "averaging_for",
    "best_of",
    "brier_score",
    "check_fit",
    "choose_average",
    "combine",
    "confusion",
    "evaluate",
    "expected_calibration_error",
    "fit_temperature",
    "greedy_selection",
    "has_batch_norm",
    "headline",
    "load",
    "load_into",
    "load_model",
    "losses_of",
    "measure",
    "outputs_of",
    "plan",
    "rank",
    "read_json",
    "read_snapshot",
    "reestimate_batch_norm",
    "reliability",
    "save_members",
    "save_model",
    "scores",
    "train_members",
    "write_atomically",
    "write_json",
    "write_snapshot",
]
