"""How a network comes out of data: a search within a budget, or one training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravine.api import run_search
from ravine.data import Data
from ravine.data.arrays import ArrayPreprocessing
from ravine.engines import Engine
from ravine.errors import ModelError
from ravine.models import MODELS, Model, find_factory
from ravine.recipe.handback import ranked
from ravine.recipe.one_setting import check_training
from ravine.recipe.opening import MakeModel
from ravine.recipe.prepare import prepare
from ravine.recipe.result import Result
from ravine.search import Space
from ravine.sklearn.network import Network
from ravine.training import Setting, load, rank, train_members
from ravine.types import Metrics

__all__ = ["Fitted", "searched", "trained"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit leaves: the network, its hyper-parameters, and what it reaches on the rows held out."""

    network: Network
    hyperparameters: dict[str, Any]
    validation: Metrics
    result: Result | None  # of a search


def trained(
    make_model: MakeModel, data: Data, setting: Mapping[str, Any], *, epochs: int, seed: int, **options: Any
) -> Fitted:
    """One setting to its end; the weights of its best epoch. options: of `prepare`.

    There is one trial, so no engine is timed, and the same seed gives the same bits. Raises ModelError when no epoch ends
    with a finite loss.
    """
    check_training(
        {"seed": seed, **setting}, epochs=epochs, ensemble=None, size=1, average=None, patience=None
    )  # before the model is built
    session = prepare(make_model, data, seed=seed, **options)
    chosen = Setting(**{"batch_size": session.batch_size, "seed": seed, **setting})
    session.batch_size = chosen.batch_size
    ended = train_members(
        data,
        session.model,
        chosen,
        steps=epochs * session.steps_per_epoch,
        every=session.steps_per_epoch,
        device=session.device,
    )
    best = ranked(session, ended.members)[:1]
    if not best or rank(best[0].validation)[0] == -float("inf"):
        raise ModelError(
            f"no epoch ended with a finite loss at lr {chosen.lr:g}: write a lower lr, such as {chosen.lr / 10:g}."
        )
    network = _network(best[0].module, session.model, data)
    return Fitted(network, best[0].kept.setting.hyperparameters(), best[0].validation, None)


def searched(
    make_model: MakeModel,
    data: Data,
    *,
    space: Space | None,
    trials: int | None,
    epochs: int | None,
    budget: str | float | None,
    out: str | Path | None,
    **options: Any,
) -> Fitted:
    """Steps 3 to 6 of the recipe, and the best model of them. options: of `ravine.run_search`.

    out: the run folder; a temporary one, taken away again, when not given. Without a budget no clock decides: engines are
    not timed either. Raises ModelError with the failed step's words when the search comes to nothing.
    """
    engine: Engine = "auto" if budget is not None else _steady_engine(make_model)
    with tempfile.TemporaryDirectory(prefix="ravine-") as place:
        folder = Path(place) / "run" if out is None else Path(out)
        result = run_search(
            make_model,
            data,
            space=space,
            trials=trials,
            epochs=epochs,
            budget=budget,
            engine=engine,
            out=folder,
            **options,
        )
        if result.best is None:
            failed = next((step for step in result.steps if step.status == "fail"), result.steps[-1])
            raise ModelError(f"the search came to nothing: {failed.summary} {' '.join(failed.advice)}".strip())
        factory = find_factory(make_model) if isinstance(make_model, str) else make_model
        found = load(folder, make_model=factory)
    record = found.record
    model = Model(record.model, factory, record.input_shape, record.outputs, record.settings)
    network = _network(found.module, model, data)
    return Fitted(network, result.best.hyperparameters, result.best.validation, result)


def _steady_engine(make_model: MakeModel) -> Engine:
    """An engine that no measurement chooses: the stack for Ravine's own models, which vmap is known to run."""
    return "stacked" if make_model in MODELS or make_model in MODELS.values() else "one by one"


def _network(module: Any, model: Model, data: Data) -> Network:
    assert isinstance(data.preprocessing, ArrayPreprocessing)
    return Network(module, model, data.preprocessing)
