"""One loop, its history, checkpoints, evaluation, ensembles."""

from ravine.training.checkpoints import ModelRecord, load_model, save_model
from ravine.training.ensembles import Ensemble, averaged
from ravine.training.evaluation import confusion, evaluate, outputs_of
from ravine.training.files import read_json, write_atomically, write_json
from ravine.training.history import History
from ravine.training.objective import LOSSES, headline, losses_of, measure, rank
from ravine.training.predictor import Predictor, load, save_members
from ravine.training.run import Kept, Run
from ravine.training.setting import Setting

__all__ = [
    "LOSSES",
    "Ensemble",
    "History",
    "Kept",
    "ModelRecord",
    "Predictor",
    "Run",
    "Setting",
    "averaged",
    "confusion",
    "evaluate",
    "headline",
    "load",
    "load_model",
    "losses_of",
    "measure",
    "outputs_of",
    "rank",
    "read_json",
    "save_members",
    "save_model",
    "write_atomically",
    "write_json",
]
