"""The reports run again on what is installed here, each as short as it can be: True where the problem is there.

    python -m tests.peers.seen_again    # from the root of the repository

A package that is not installed, or is of another version than the report says, is passed over.
"""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from .reports import REPORTS

__all__ = ["SCRIPTS", "installed", "run_quietly"]

SCRIPTS: dict[tuple[str, int], Callable[[], bool]] = {}

TORCH, LIGHTNING, OPTUNA = "pytorch/pytorch", "Lightning-AI/pytorch-lightning", "optuna/optuna"
Script = Callable[[], bool]


def again(repository: str, number: int) -> Callable[[Script], Script]:
    def put(script: Script) -> Script:
        SCRIPTS[repository, number] = script
        return script

    return put


def installed(run_on: str) -> bool:
    """Whether a package is here in the version named, such as torch 2.13.0; a local suffix (+cpu) does not matter."""
    package, version = run_on.split()
    try:
        return importlib.metadata.version(package).partition("+")[0] == version
    except importlib.metadata.PackageNotFoundError:
        return False


def run_quietly(script: Script) -> bool:
    """A script's answer, without what a peer has to say meanwhile."""
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        return script()


def refuses(work: Callable[[], object], error: type[Exception] | tuple[type[Exception], ...] = Exception) -> bool:
    try:
        work()
    except error:
        return True
    return False


def sgd(lr: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)


def walk(optimizer: torch.optim.Optimizer, scheduler: Any, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@again(TORCH, 68978)
def _() -> bool:
    optimizer = sgd()
    parts = [lr_scheduler.LinearLR(optimizer), lr_scheduler.ReduceLROnPlateau(optimizer)]
    return refuses(lambda: lr_scheduler.SequentialLR(optimizer, parts, [5]).step(), (ValueError, TypeError))


@again(TORCH, 162591)
def _() -> bool:
    def made(last: int) -> tuple[torch.optim.Optimizer, Any]:
        optimizer = sgd()
        optimizer.param_groups[0]["initial_lr"] = 1.0
        parts = [lr_scheduler.ConstantLR(optimizer, 0.1, 20), lr_scheduler.ExponentialLR(optimizer, 0.9)]
        return optimizer, lr_scheduler.SequentialLR(optimizer, parts, [3], last_epoch=last)

    whole = walk(*made(-1), 8)
    return walk(*made(3), 4) != whole[4:]


@again(TORCH, 67586)
def _() -> bool:
    optimizer = sgd(0.1)
    parts = [lr_scheduler.ExponentialLR(optimizer, gamma) for gamma in (0.5, 0.9)]
    rates = walk(optimizer, lr_scheduler.SequentialLR(optimizer, parts, [5]), 7)
    return rates[5] > rates[4]  # the decay ends in a leap back to where it began


@again(TORCH, 78003)
def _() -> bool:
    optimizer = sgd()
    walk(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 5), 5)
    return max(walk(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 5), 5)) < 1e-6


@again(TORCH, 65342)
def _() -> bool:
    optimizer = sgd()
    whole = walk(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 10), 10)
    old = sgd()
    scheduler = lr_scheduler.CosineAnnealingLR(old, 10)
    walk(old, scheduler, 4)
    states = copy.deepcopy((old.state_dict(), scheduler.state_dict()))
    new = sgd()
    new.load_state_dict(states[0])
    resumed = lr_scheduler.CosineAnnealingLR(new, 10)
    resumed.load_state_dict(states[1])
    return not np.allclose(walk(new, resumed, 6), whole[4:])


@again(TORCH, 29697)
def _() -> bool:
    old, new = sgd(), sgd()
    scheduler, loaded = (lr_scheduler.MultiStepLR(one, [5]) for one in (old, new))
    walk(old, scheduler, 7)
    loaded.load_state_dict(scheduler.state_dict())
    return walk(new, loaded, 2) == [1.0, 1.0]


@again(TORCH, 22107)
def _() -> bool:
    optimizer = sgd(0.1)
    scheduler = lr_scheduler.MultiStepLR(optimizer, [3])
    walk(optimizer, scheduler, 3)
    return not math.isclose(scheduler.get_lr()[0], optimizer.param_groups[0]["lr"])


@again(TORCH, 38170)
def _() -> bool:
    optimizer = sgd()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=4)
    try:
        walk(optimizer, scheduler, 9)
    except ValueError as error:
        return "step 5 times" not in str(error)
    return True


@again(TORCH, 104361)
def _() -> bool:
    optimizer = sgd()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.1})
    return refuses(lambda: [scheduler.step(1.0) for _ in range(3)])


@again(TORCH, 185872)
def _() -> bool:
    optimizer = sgd()
    parts = [lr_scheduler.LinearLR(optimizer, 0.1), lr_scheduler.ExponentialLR(optimizer, 0.5)]
    return walk(optimizer, lr_scheduler.SequentialLR(optimizer, parts, [0]), 3) != [1.0, 0.5, 0.25]


def minimized(start: Iterable[float], steps: int, loss: Callable[[Tensor], Tensor], **more: Any) -> tuple[Tensor, int]:
    """Where torch's LBFGS comes in so many steps, and the most evaluations of one step."""
    x, most = nn.Parameter(torch.tensor(list(start))), 0
    optimizer = torch.optim.LBFGS([x], **more)
    for _ in range(steps):
        count = 0

        def closure() -> Tensor:
            nonlocal count
            count += 1
            optimizer.zero_grad()
            value = loss(x)
            value.backward()
            return value

        optimizer.step(closure)
        most = max(most, count)
    return x.detach(), most


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@again(TORCH, 91581)
def _() -> bool:
    return minimized((-1.2, 1.0), 5, rosenbrock, max_eval=3, line_search_fn="strong_wolfe")[1] > 3


@again(TORCH, 5953)
def _() -> bool:
    return bool(minimized((3.0,), 3, lambda x: (x.sqrt() - 0.1).square().sum())[0].isnan())


@again(TORCH, 70352)
def _() -> bool:
    return refuses(lambda: torch.optim.LBFGS([{"params": []}]).step(lambda: torch.tensor(3.5)), IndexError)


@again(TORCH, 196083)
def _() -> bool:
    one, other = (torch.optim.Adam([nn.Parameter(torch.ones(2))]) for _ in range(2))
    first, second = (optimizer.param_groups[0]["params"][0] for optimizer in (one, other))
    first.grad, second.grad = torch.ones(2), -torch.ones(2)
    one.step()
    other.load_state_dict(one.state_dict())
    before = one.state[first]["exp_avg"].clone()
    other.step()
    return not torch.equal(before, one.state[first]["exp_avg"])


@again(TORCH, 188346)
def _() -> bool:
    def tied() -> nn.Module:
        module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        module[1].weight = module[0].weight
        return module

    module = tied()
    module.load_state_dict(tied().state_dict(), assign=True)
    return module[0].weight is not module[1].weight


@again(TORCH, 7716)
def _() -> bool:
    loader = torch.utils.data.DataLoader(torch.zeros(3, 7), batch_size=2)
    layer = nn.BatchNorm1d(7)
    return refuses(lambda: [layer(x) for x in loader], ValueError)


class Drawing(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Examples that are drawn from numpy's global generator."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> float:
        return float(np.random.random())  # noqa: NPY002 - what the report is about


@again(TORCH, 5059)
def _() -> bool:
    loader = torch.utils.data.DataLoader(Drawing(), batch_size=2, num_workers=2, multiprocessing_context="fork")
    first, second = (batch.tolist() for batch in loader)
    return bool(first == second)


@again("pytorch/functorch", 996)
def _() -> bool:
    dropout = torch.func.vmap(lambda x: nn.functional.dropout(x, 0.5, training=True))
    return refuses(lambda: dropout(torch.ones(3, 8)), RuntimeError)


@again("pytorch/functorch", 384)
def _() -> bool:
    layer = nn.BatchNorm1d(4)
    return refuses(lambda: torch.func.vmap(lambda x: layer(x))(torch.randn(3, 5, 4)), RuntimeError)


@again("pytorch/functorch", 986)
def _() -> bool:
    module, x = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), torch.randn(8, 4)
    values = {name: value.detach() for name, value in module.named_parameters()}

    def loss(values: dict[str, Tensor]) -> Tensor:
        out: Tensor = torch.func.functional_call(module, values, x).square().mean()
        return out

    return refuses(lambda: torch.func.vjp(torch.func.grad(loss), values), RuntimeError)


def study(folder: str, seed: int | None = None, **more: Any) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed) if seed is not None else None
    storage = f"sqlite:///{folder}/study.db"
    return optuna.create_study(study_name="s", storage=storage, sampler=sampler, load_if_exists=True, **more)


def square(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", -1, 1) ** 2


@again(OPTUNA, 6283)
def _() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        study(folder).ask()  # a run that goes down
        later = study(folder)
        later.optimize(square, n_trials=1)
        return [t.state.name for t in later.trials] == ["RUNNING", "COMPLETE"]


@again(OPTUNA, 3255)
def _() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            study(folder, seed=1).optimize(square, n_trials=2)
        values = [t.params["x"] for t in study(folder).trials]
        return values[:2] == values[2:]


@again(OPTUNA, 2638)
def _() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        study(folder).optimize(square, n_trials=2)
        study(folder).optimize(square, n_trials=3)
        return len(study(folder).trials) == 5


@again(OPTUNA, 2826)
def _() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        workers = [study(folder, seed=1) for _ in range(2)]
        return len({worker.ask().suggest_float("x", -1, 1) for worker in workers}) == 1


@again(OPTUNA, 2199)
def _() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        study(folder).ask().suggest_categorical("size", [64, 128])
        return refuses(lambda: study(folder).ask().suggest_categorical("size", [64, 128, 256]), ValueError)


def trainer(folder: str, **more: Any) -> Any:
    from lightning.pytorch import Trainer

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return Trainer(default_root_dir=folder, **{"enable_checkpointing": False, **quiet, **more})


def lit(layers: nn.Module, **hooks: Any) -> Any:
    """A LightningModule over some layers; hooks replace its methods."""
    from lightning.pytorch import LightningModule

    class Lit(LightningModule):
        def __init__(self, lr: float = 0.1) -> None:
            super().__init__()
            self.lr, self.layers = lr, layers

        def training_step(self, batch: Any, _index: int) -> Tensor:
            return self.layers(batch[0]).square().mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    return type("Lit", (Lit,), hooks)()


def loader(rows: int = 40, size: int = 4) -> Any:
    x = 5 + torch.randn(rows, 3, generator=torch.Generator().manual_seed(1))
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=size)


def suggested(losses: Any) -> float:
    from lightning.pytorch.tuner.lr_finder import _LRFinder

    finder = _LRFinder("exponential", lr_min=1e-8, lr_max=1.0, num_training=len(losses))
    rates = [1e-8 * 1e8 ** ((i + 1) / len(losses)) for i in range(len(losses))]
    finder.results = {"lr": rates, "loss": list(losses)}
    return float(finder.suggestion() or math.nan)


def parabola() -> Any:
    x = np.linspace(-50, 50, 100)
    return (-(x**2) - 30 * x + 4000) / 1000


@again(LIGHTNING, 21141)
def _() -> bool:
    noise = np.random.default_rng(42).uniform(-0.1, 0.1, 100)
    return abs(math.log10(suggested(parabola() + noise) / suggested(parabola()))) > 1


@again(LIGHTNING, 1767)
def _() -> bool:
    spiked = parabola()
    spiked[2:5] += (3.0, 2.0, 1.0)
    return abs(math.log10(suggested(spiked) / suggested(parabola()))) > 1


@again(LIGHTNING, 6675)
def _() -> bool:
    from lightning.pytorch.tuner import Tuner

    module = lit(nn.Linear(3, 1))
    before = copy.deepcopy(module.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        Tuner(trainer(folder, max_epochs=1)).lr_find(module, loader(), num_training=20, max_lr=1e4)
    return not all(torch.equal(before[name], value) for name, value in module.state_dict().items())


@again(LIGHTNING, 14866)
def _() -> bool:
    from lightning.pytorch.callbacks import StochasticWeightAveraging

    norm = nn.BatchNorm1d(3)
    module = lit(nn.Sequential(norm, nn.Linear(3, 1)))
    with tempfile.TemporaryDirectory() as folder:
        averaging = StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=1)
        trainer(folder, max_epochs=3, callbacks=[averaging]).fit(module, loader())
    return bool((norm.running_mean - 5).abs().max() > 1)  # the inputs have a mean of 5


def interrupted() -> tuple[list[float], list[float]]:
    """The first numbers of the ten batches of an epoch, and of those met after a stop at the sixth and a checkpoint at the third."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    met: list[float] = []
    ends = {5}

    def noted(self: Any, batch: Any, index: int) -> Tensor:
        if index in ends:
            raise InterruptedError
        met.append(float(batch[0][0, 0]))
        out: Tensor = self.layers(batch[0]).square().mean()
        return out

    with tempfile.TemporaryDirectory() as folder:
        for path in (None, os.path.join(folder, "cut.ckpt")):
            met.clear()
            ends.intersection_update({5} if path is None else set())
            saving = ModelCheckpoint(folder, filename="cut", every_n_train_steps=3)
            fitted = trainer(folder, max_epochs=1, enable_checkpointing=True, callbacks=[saving])
            module = lit(nn.Linear(3, 1), training_step=noted)
            refuses(lambda m=module, t=fitted, p=path: t.fit(m, loader(), ckpt_path=p), InterruptedError)
    return [float(batch[0][0, 0]) for batch in loader()], met


@again(LIGHTNING, 5325)
def _() -> bool:
    epoch, met = interrupted()
    return len(met) < len(epoch) - 3


@again(LIGHTNING, 1182)
def _() -> bool:
    epoch, met = interrupted()
    return met[:3] == epoch[:3]


@again(LIGHTNING, 21822)
def _() -> bool:
    module = lit(nn.Linear(3, 1))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "attacker.py").write_text("def call(cls, _given):\n    return cls()\n")
        checkpoint = {
            "state_dict": module.state_dict(),
            "hyper_parameters": {"_instantiator": "attacker.call", "lr": 0.1},
            "pytorch-lightning_version": importlib.metadata.version("lightning"),
            "hparams_name": "kwargs",
        }
        torch.save(checkpoint, os.path.join(folder, "stranger.ckpt"))
        sys.path.insert(0, folder)
        try:
            refuses(lambda: type(module).load_from_checkpoint(os.path.join(folder, "stranger.ckpt"), weights_only=True))
            return sys.modules.pop("attacker", None) is not None
        finally:
            sys.path.remove(folder)


@again(LIGHTNING, 21800)
def _() -> bool:
    from fsspec.implementations.local import LocalFileSystem
    from lightning.fabric.utilities.cloud_io import _atomic_save

    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    kept = LocalFileSystem.open
    try:
        LocalFileSystem.open = denied  # for who may write everywhere
        with tempfile.TemporaryDirectory() as folder:
            return not refuses(lambda: _atomic_save({}, os.path.join(folder, "state.ckpt")), OSError)
    finally:
        LocalFileSystem.open = kept


@again(LIGHTNING, 2924)
def _() -> bool:
    def validation_step(self: Any, batch: Any, _index: int) -> None:
        self.log("mean", batch[0].mean())

    with tempfile.TemporaryDirectory() as folder:
        data = loader(rows=41, size=20)  # the last batch is of one row
        module = lit(nn.Linear(3, 1), validation_step=validation_step)
        (found,) = trainer(folder).validate(module, data, verbose=False)
    return abs(found["mean"] - float(data.dataset.tensors[0].mean())) > 1e-4


def classified() -> tuple[Any, Any]:
    draw = np.random.default_rng(1)
    y = draw.integers(0, 3, 200)
    return draw.normal(size=(200, 4)) + 2 * np.eye(4)[y], y


@again("scikit-learn/scikit-learn", 33760)
def _() -> bool:
    from sklearn.neural_network import MLPClassifier

    x, y = classified()
    named = np.array(["Class_A", "Class_B", "Class_C"])[y]
    return refuses(
        lambda: MLPClassifier(hidden_layer_sizes=(8,), early_stopping=True, max_iter=5).fit(x, named), TypeError
    )


@again("scikit-learn/scikit-learn", 29504)
def _() -> bool:
    from sklearn.neural_network import MLPRegressor

    x, _ = classified()
    model = MLPRegressor(
        hidden_layer_sizes=(8,), solver="sgd", learning_rate_init=1e20, early_stopping=True, max_iter=5
    )
    try:
        model.fit(x, 1e3 * x[:, 0])
    except ValueError as error:
        return "too high learning rate" not in str(error) and "non-finite parameter weights" not in str(error)
    return False


@again("scikit-learn/scikit-learn", 24713)
def _() -> bool:
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(hidden_layer_sizes=(10,), early_stopping=True, max_iter=20)
    try:
        model.fit([[0.0, 1.0], [1.0, 0.0]], [1.0, 1.0])
    except ValueError as error:
        return "validation set is too small" not in str(error)
    except AttributeError:
        pass
    return True


def main() -> None:
    """Run all, and say of each what was seen."""
    for test in ("torch", "functorch", "optuna", "lightning", "scikit_learn"):
        importlib.import_module(f"tests.peers.test_{test}")
    said = {(one.repository, one.number): one for one in REPORTS.values()}
    for (repository, number), script in SCRIPTS.items():
        seen = run_quietly(script)
        one = said[repository, number]
        mark = "" if not one.run_on else "as said" if seen == bool(one.seen) else "NOT AS SAID"
        print(f"{repository}#{number}: {'seen' if seen else 'not seen'} ({one.standing}) {mark}")


if __name__ == "__main__":
    main()
