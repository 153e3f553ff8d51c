"""The functions that the commands call and that Python programs call, public as `ravine.tune` and so on."""

from ravine.api.resuming import resume
from ravine.api.runs import check, lr_range, run_search, train, tune
from ravine.api.trained import evaluate, inspect
from ravine.recipe.opening import Options

__all__ = ["Options", "check", "evaluate", "inspect", "lr_range", "resume", "run_search", "train", "tune"]
