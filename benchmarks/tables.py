"""Claim: on most small tables, `ravine tune` finds a model at least as good as scikit-learn's defaults.

For every table: `ravine tune --budget 60s`, then LogisticRegression and MLPClassifier with their defaults,
trained on the same training rows (preprocessed the same way) and measured on the same validation rows. The
test rows are shown too: nobody chose by them.

    python benchmarks/tables.py DIRECTORY_OF_CSV_FILES [--budget 60s]
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

import ravine
from _machine import machine
from ravine.data import Split, load

PLACE = Path(__file__).resolve().parents[2] / "shared" / "data" / "tabular"


def arrays(split: Split) -> tuple[object, object]:
    x, y = split.batch(torch.arange(len(split)))
    return x.numpy(), y.numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=PLACE)
    parser.add_argument("--budget", default="60s")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(machine())
    print(f"n = 1 run a table, seed 0, budget {args.budget}")
    print(
        f"{'table':28} {'rows':>5} | validation: ravine  logistic  mlp | test: ravine  ensemble  logistic  mlp | seconds"
    )
    at_least = 0
    tables = sorted(args.folder.glob("*.csv"))
    for path in tables:
        data = load(str(path), target="target")
        with tempfile.TemporaryDirectory() as place:
            start = time.monotonic()
            result = ravine.tune("mlp", data, budget=args.budget, out=Path(place) / "run", keep_going=True)
            seconds = time.monotonic() - start
        peers = [m(random_state=0).fit(*arrays(data.train)) for m in (LogisticRegression, MLPClassifier)]
        validation = [float(peer.score(*arrays(data.validation))) for peer in peers]
        test = [float(peer.score(*arrays(data.test))) for peer in peers]
        assert result.best is not None
        assert result.ensemble is not None
        ours = result.best.validation["accuracy"]
        at_least += ours >= max(validation) - 1e-6
        rows = len(data.train) + len(data.validation) + len(data.test)
        print(
            f"{path.stem:28} {rows:5} |             {ours:.3f}     {validation[0]:.3f} {validation[1]:.3f} |      "
            f"{result.best.test['accuracy']:.3f}     {result.ensemble.test['accuracy']:.3f}     {test[0]:.3f} {test[1]:.3f} | {seconds:.0f}",
            flush=True,
        )
    print(f"at least both peers on validation: {at_least} of {len(tables)}; to reach: 4 of 6")


if __name__ == "__main__":
    main()
