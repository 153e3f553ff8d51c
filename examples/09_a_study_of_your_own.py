"""Ravine's training in an Optuna study of your own: its sampler, its pruner, and an optimizer of torch's own."""

import optuna
from sklearn.datasets import load_digits
from torch import nn

from ravine.search import Choice, Int, Log, objective

optuna.logging.set_verbosity(optuna.logging.WARNING)
images, labels = load_digits(return_X_y=True)


def network(input_shape: tuple[int, ...], outputs: int, hidden: int = 32) -> nn.Module:
    """Its settings can be searched too."""
    return nn.Sequential(nn.Linear(input_shape[0], hidden), nn.ReLU(), nn.Linear(hidden, outputs))


space = {"optimizer": Choice(["adamw", "torch.Adafactor"]), "lr": Log(1e-3, 0.1), "hidden": Int(16, 64, log=True)}
train = objective(network, (images, labels), space=space, epochs=4)
study = optuna.create_study(
    direction=train.direction, sampler=optuna.samplers.TPESampler(seed=0), pruner=optuna.pruners.MedianPruner()
)
study.optimize(train, n_trials=8)
pruned = sum(trial.state.name == "PRUNED" for trial in study.trials)
print(f"best accuracy {study.best_value:.3f} with {study.best_params}; {pruned} of 8 were pruned")
print(train.module())
