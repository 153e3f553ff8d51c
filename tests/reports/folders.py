"""Run folders for the tests: real records, a real study and real Parquet, with numbers of a tiny seeded simulation.

The simulation is one formula: a trial learns well when log10(lr) lies near -2.5, and diverges far above. The files
hold what a run writes, so a test that breaks one record starts from a whole folder.
"""

from __future__ import annotations

import json
import math
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pyarrow as pa
import pyarrow.parquet as pq

from .lessons import learnt, nothing_learnt

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<b>bold</b> & 'q' \"w\"",
    "-->]]>\u2028%{y}",
]
EPOCHS = 8
STEPS_PER_EPOCH = 40


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def edit_json(path: Path, **changes: Any) -> None:
    """Replaces fields of one record; a field changed to `...` is taken out."""
    record = json.loads(path.read_text(encoding="utf-8")) | changes
    write_json(path, {key: value for key, value in record.items() if value is not ...})


def write_run(
    folder: Path,
    task: str = "classification",
    classes: list[str] | None = None,
    data: str = "digits",
    trials: int = 24,
    steps: int = 6,
    results: bool = True,
    activation: str = "",
) -> Path:
    """A run folder after `steps` steps of the recipe, with its results when the run came to its end.

    activation: one more hyper-parameter of every trial, the same in all of them.
    """
    folder.mkdir(parents=True)
    names = (classes or [str(i) for i in range(10)]) if task == "classification" else []
    write_config(folder, task, names, data)
    for name, record in list(verdicts(task, names, "<i>activation</i>" if activation else "dropout").items())[:steps]:
        write_json(folder / "steps" / f"{name}.json", record)
    if steps >= 4:
        write_search(folder, task, trials, activation)
    if results:
        write_results(folder, task, names)
    return folder


def write_config(folder: Path, task: str, classes: list[str], data: str) -> None:
    write_json(
        folder / "config.json",
        {
            "ravine": "0.1.0",
            "command": f"ravine tune --data {data} --budget 60s --out {folder.name}",
            "created": "2026-03-01T12:00:00+00:00",
            "data": {
                "name": data,
                "target": None if task == "classification" else "progression",
                "task": task,
                "input_shape": [64],
                "outputs": len(classes) or 1,
                "classes": classes,
                "sizes": {"train": 1149, "validation": 288, "test": 360},
                "notes": ["3 empty cells of column bmi were filled with the training median 25.7."],
                "fingerprint": "5f0c2a7be91d",
            },
            "model": {"name": "mlp", "settings": {"hidden": [256, 256]}, "parameters": 85002},
            "seed": 0,
            "budget_s": 60.0,
            "device": "cpu",
            "versions": {"python": "3.11.2", "torch": "2.13.0", "numpy": "2.3.1", "optuna": "5.0.0"},
        },
    )


def verdict(step: str, status: str, summary: str, evidence: dict[str, Any], *advice: str) -> dict[str, Any]:
    fields = {"step": step, "status": status, "summary": summary, "evidence": evidence}
    return {**fields, "advice": list(advice), "seconds": 4.2}


def verdicts(task: str, classes: list[str], second: str) -> dict[str, dict[str, Any]]:
    """second: the hyper-parameter that mattered most after the learning rate."""
    draw = np.random.default_rng(0)
    number = task == "classification"
    expected = math.log(len(classes)) if number else 1.0
    losses = (expected + 0.03 + 0.02 * draw.standard_normal(8)).tolist()
    unit = "nats per example" if number else "squared, standardized target"
    first = {
        "expected": expected,
        "mean": float(np.mean(losses)),
        "sd": float(np.std(losses)),
        "tolerance": 0.1,
        "losses": losses,
        "unit": unit,
    }
    metric = "accuracy" if number else "r2"
    coarse = searched(12, 4) | {"learnt": learnt(task, second)}
    refined = searched(12, EPOCHS) | {"learnt": nothing_learnt()}
    return {
        "1-initial-loss": verdict(
            "initial-loss", "pass", "The initial loss is what a fresh network should have.", first
        ),
        "2-overfit": verdict("overfit", "pass", "Five mini-batches were learned by heart.", overfit(metric)),
        "3-lr-range": verdict("lr-range", "pass", "A range of rates was found for each optimizer.", sweeps(draw)),
        "4-coarse": verdict("coarse", "warn", "The best trial lies at an edge.", coarse, "Widen lr of sgd."),
        "5-refine": verdict("refine", "pass", "The best region was searched longer.", refined),
        "6-curves": verdict(
            "curves",
            "warn",
            "The curves show over-fitting.",
            {
                "trial": 7,
                "label": "over-fitting",
                "train_metric": 0.999,
                "validation_metric": 0.969,
                "gap": 0.03,
                "gap_error": 0.012,
                "slope_per_epoch": 0.0004,
            },
            "Raise weight decay from 1e-4 to 1e-3.",
            "Add dropout of 0.2.",
        ),
    }


def overfit(metric: str) -> dict[str, Any]:
    rates = np.geomspace(1e-4, 1.0, 9).tolist()
    steps = list(range(1, 201))
    return {
        "samples": 160,
        "batches": 5,
        "batch_size": 32,
        "optimizer": "adamw",
        "goal": 1.0,
        "metric": metric,
        "rates": rates,
        "final_loss": [None if r > 0.5 else 1e-3 + (math.log10(r) + 2.5) ** 2 / 4 for r in rates],
        "final_metric": [None if r > 0.5 else 1 / (1 + (math.log10(r) + 2.5) ** 2 / 8) for r in rates],
        "reached_at_step": [60 if 1e-3 < r < 3e-2 else None for r in rates],
        "best": 4,
        "curve": {
            "step": steps,
            "loss": [2.3 * math.exp(-s / 25) + 1e-3 for s in steps],
            "metric": [1 - 0.9 * math.exp(-s / 20) for s in steps],
        },
        "cause": None,
    }


def sweeps(draw: np.random.Generator) -> dict[str, Any]:
    rates = np.geomspace(1e-6, 10, 29)
    found = {}
    for name, middle in (("adamw", -2.6), ("sgd", -1.0)):
        depth = 2.1 * np.exp(-(((np.log10(rates) - middle) / 1.1) ** 2))
        rows = [
            [None if math.log10(r) > middle + 1.5 + 0.1 * s else 2.33 - d + 0.06 * draw.random() for s in range(3)]
            for r, d in zip(rates, depth, strict=True)
        ]
        found[name] = {
            "rates": rates.tolist(),
            "initial_loss": 2.33,
            "final_loss": rows,
            "low": 10 ** (middle - 1),
            "high": 10 ** (middle + 1),
            "best": 10**middle,
            "largest_safe": 10 ** (middle + 1.2),
            "uncertainty_decades": 0.2,
            "steps": 100,
            "seeds": 3,
        }
    return {"optimizers": found}


def searched(trials: int, epochs: int) -> dict[str, Any]:
    return {
        "trials": trials,
        "stopped_early": 5,
        "diverged": 1,
        "epochs": epochs,
        "space": {
            "lr": {"adamw": [2.5e-4, 2.5e-2], "sgd": [0.01, 1.0]},
            "weight_decay": [1e-6, 1e-2],
            "dropout": [0, 0.5],
        },
        "best": {
            "trial": 7,
            "hyperparameters": {"optimizer": "adamw", "lr": 0.0031},
            "validation": {"accuracy": 0.969},
        },
        "edges": ["lr of sgd at its upper edge 1.0: search up to 3.0"],
    }


def write_search(folder: Path, task: str, trials: int, activation: str) -> None:
    """`study.db` and both history files; trial 7 wins, every fifth is stopped early, trial 11 diverges."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Not by URL: a folder's name may hold a "?".
    connect = partial(sqlite3.connect, folder / "study.db", check_same_thread=False)
    storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect})
    direction = "maximize" if task == "classification" else "minimize"
    study = optuna.create_study(study_name="ravine", storage=storage, direction=direction)
    draw = np.random.default_rng(1)
    epochs: list[dict[str, float]] = []
    records = [simulate(trial, task, draw, epochs, activation) for trial in range(trials)]
    study.add_trials(records)
    storage.remove_session()
    storage.engine.dispose()
    write_history(folder, epochs)


def simulate(trial: int, task: str, draw: np.random.Generator, epochs: list[dict[str, float]], activation: str) -> Any:
    optimizer = "adamw" if trial % 2 or trial == 7 else "sgd"
    lr = 0.0031 if trial == 7 else 10 ** draw.uniform(-3.6, -1.6) * (1 if optimizer == "adamw" else 30)
    decay = 0.0 if trial % 6 == 0 else 10 ** draw.uniform(-6, -2)
    dropout = float(draw.uniform(0, 0.5))
    parameters = {"optimizer": optimizer, "lr": lr, "weight_decay": decay, "dropout": dropout}
    float_range = optuna.distributions.FloatDistribution
    ranges = {
        "optimizer": optuna.distributions.CategoricalDistribution(["adamw", "sgd"]),
        "lr": float_range(1e-7, 10, log=True),
        "weight_decay": float_range(0, 1),
        "dropout": float_range(0, 0.5),
    }
    if optimizer == "sgd":
        parameters["momentum"], ranges["momentum"] = float(draw.choice([0.8, 0.9, 0.95])), float_range(0, 1)
    if activation:  # a setting in words, searched by its name
        parameters["<i>activation</i>"] = activation
        ranges["<i>activation</i>"] = optuna.distributions.CategoricalDistribution([activation])
    miss = abs(math.log10(lr) - (-2.5 if optimizer == "adamw" else -1.0))
    last = 3 if trial % 5 == 0 else EPOCHS
    scores = {}
    for epoch in range(1, last + 1):
        score = 0.97 - 0.05 * miss - 0.6 * math.exp(-epoch / 1.5) + 0.004 * draw.standard_normal()
        scores[epoch] = score if task == "classification" else 60 * (1.3 - score)
        epochs.append(
            {
                "trial": trial,
                "epoch": epoch,
                "step": epoch * STEPS_PER_EPOCH,
                "train_loss": 2.2 * math.exp(-epoch / 2) + 0.02,
                "train_metric": min(1.0, score + 0.02),
                "validation_loss": 2.2 * math.exp(-epoch / 2) + 0.1 + 0.003 * epoch,
                "validation_metric": score,
            }
        )
    state = optuna.trial.TrialState.PRUNED if trial % 5 == 0 else optuna.trial.TrialState.COMPLETE
    attributes = {"phase": "coarse" if trial < 12 else "refine", "epochs": last}
    if trial == 11:
        state, attributes["reason"] = optuna.trial.TrialState.FAIL, "loss was not finite at step 31"
    return optuna.trial.create_trial(
        params=parameters,
        distributions=ranges,
        value=scores[last] if state == optuna.trial.TrialState.COMPLETE else None,
        state=state,
        intermediate_values=scores,
        user_attrs=attributes,
    )


def write_history(folder: Path, epochs: list[dict[str, float]]) -> None:
    (folder / "history").mkdir()
    counts = {"trial", "epoch", "step"}
    columns = {k: pa.array([row[k] for row in epochs], pa.int64() if k in counts else pa.float32()) for k in epochs[0]}
    pq.write_table(pa.table(columns), folder / "history" / "epochs.parquet")
    draw = np.random.default_rng(2)
    trials = sorted({int(row["trial"]) for row in epochs})
    step = np.arange(1, EPOCHS * STEPS_PER_EPOCH + 1)
    noise = np.exp(0.3 * draw.standard_normal(len(step)))
    columns = {
        "trial": np.repeat(trials, len(step)),
        "step": np.tile(step, len(trials)),
        "loss": np.tile(2.2 * np.exp(-step / 80) * noise, len(trials)).astype(np.float32),
        "lr": np.tile(0.0031 * np.minimum(1, step / 20) * np.cos(step / 320 * 1.5), len(trials)).astype(np.float32),
        "grad_norm": np.tile(3 * np.exp(-step / 150) * noise, len(trials)).astype(np.float32),
        "update_ratio": np.tile(1e-3 * np.exp(-step / 300) * noise, len(trials)).astype(np.float32),
    }
    pq.write_table(pa.table(columns), folder / "history" / "steps.parquet")


def write_results(folder: Path, task: str, classes: list[str]) -> None:
    draw = np.random.default_rng(3)
    number = task == "classification"
    best = {"accuracy": 0.9722, "nll": 0.1034} if number else {"rmse": 53.1, "r2": 0.482}
    ensemble = {"accuracy": 0.9806, "nll": 0.0712} if number else {"rmse": 52.4, "r2": 0.495}
    answers = {"best": best, "greedy": ensemble}
    if number:
        size = len(classes)
        answers = {name: a | {"ece": 0.02, "brier": 0.04} for name, a in answers.items()}
        drawn: dict[str, Any] = {
            "confusion": (np.eye(size, dtype=int) * 34 + draw.integers(0, 2, (size, size))).tolist(),
            "reliability": {name: diagram(over) for name, over in (("best", 0.06), ("greedy", 0.02))},
        }
    else:
        actual = draw.uniform(25, 340, 89)
        drawn = {"actual": actual.tolist(), "predicted": (60 + 0.6 * actual + 40 * draw.standard_normal(89)).tolist()}
    metric = "accuracy" if number else "r2"
    write_json(
        folder / "evaluation.json",
        {
            "split": "test",
            "task": task,
            "metric": metric,
            "ensemble": "greedy",
            "answers": {
                name: {"validation": a, "test": a, "temperature": 1.2 if number else None}
                for name, a in answers.items()
            },
            **drawn,
        },
    )
    write_json(
        folder / "result.json",
        {
            "steps": [],
            "best": {
                "trial": 7,
                "hyperparameters": {"optimizer": "adamw", "lr": 0.0031},
                "validation": best,
                "test": best,
                "command": "ravine train --data digits --model mlp --set hidden=256,256 --optimizer adamw --lr 0.0031",
            },
            "ensemble": {
                "kind": "greedy",
                "size": 5,
                "members": [7, 13, 15, 17, 19],
                "weights": [4, 2, 1, 1, 1],
                "validation": ensemble,
                "test": ensemble,
            },
            "gain": "The greedy ensemble of 5 models gains a little.",
            "trials": 24,
            "seconds": 61.7,
            "out": str(folder),
        },
    )


def diagram(over: float) -> dict[str, Any]:
    """A reliability diagram of 15 bins whose model is too sure by `over`."""
    middle = (np.arange(15) + 0.5) / 15
    counts = [0, 0, 3, 8, *range(11, 22)]
    shown = [None if n == 0 else float(m) for m, n in zip(middle, counts, strict=True)]
    right = [None if m is None else max(0.0, m - over) for m in shown]
    return {"edges": np.linspace(0, 1, 16).tolist(), "confidence": shown, "accuracy": right, "count": counts}
