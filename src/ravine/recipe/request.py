"""What was asked of a run, as config.json keeps it: enough to ask the same again in another process."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ravine.errors import DataError, FolderError, ModelError
from ravine.search import SAMPLERS, Distribution, Space, samples
from ravine.training import Setting, read_json
from ravine.training.files import understood
from ravine.training.shared import Sharing
from ravine.types import Task

__all__ = ["Request", "read_request", "read_space", "written_space"]

Count = Annotated[int, Field(ge=1)]

DISTRIBUTIONS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Distribution)}


class Recorded(BaseModel):
    """The options of every run that are asked for again; the others say where it writes and who watches."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    target: str | None = None
    task: Task | None = None
    categorical: list[str] = []
    settings: dict[str, Any] | None = None
    batch_size: int | None = None
    seed: int = 0
    device: str = "auto"
    budget: str | float | None = None
    tensorboard: bool = False
    engine: str = "auto"


class Own(BaseModel):
    """The keywords of one function or another."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    space: dict[str, dict[str, Any]] | None = None
    trials: Count | None = None
    epochs: Count | None = None
    sampler: Literal[tuple(SAMPLERS)] = "random"  # type: ignore[valid-type]  # its names
    known: bool = True
    keep_going: bool = False
    inspect: bool = False
    workers: int | str = 1
    worker_cpus: float = 1.0
    worker_gpus: float = 0.0
    replay: str | None = None
    storage: str | None = None
    study: str | None = None
    lr: float | None = None
    optimizer: str = "adamw"
    optimizers: list[str] = []
    setting: dict[str, Any] = {}
    ensemble: str | None = None
    size: int = 5
    average: str | None = None
    patience: int | None = None
    sharing: dict[str, Any] | None = None


NEEDED = {
    "tune": {"space", "trials", "keep_going", "inspect"},
    "search": {"space", "trials", "epochs", "sampler", "known"},
    "check": {"lr", "optimizer", "epochs"},
    "lr_range": {"optimizers"},
    "train": {"epochs", "setting", "ensemble", "size", "average", "patience"},
}
"""What each function cannot be called without."""


class Request(BaseModel):
    """A call of tune, check, lr_range or train."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    work: str  # the function
    data: str | None  # as it was written; None for what only a Python program has
    test: str | None = None
    arrays_as_test: bool = False
    place: str  # the working directory, which a relative path begins at
    model: str  # a name by which the factory is found again; "" when it has none
    own: dict[str, Any]  # keywords of that function alone
    options: dict[str, Any]  # of every run

    @classmethod
    def of(cls, work: str, data: Any, model: str, own: Mapping[str, Any], options: Mapping[str, Any]) -> Request:
        test, space = options.get("test"), own.get("space")
        return cls(
            work=work,
            data=str(data) if isinstance(data, str | Path) else None,
            test=test if isinstance(test, str) else None,
            arrays_as_test=test is not None and not isinstance(test, str),
            place=str(Path.cwd()),
            model=model,
            own={**own, **({"space": written_space(space)} if space is not None else {})},
            options={name: options[name] for name in Recorded.model_fields if options.get(name) is not None},
        )

    def again(self, data: Any, make_model: Any, test: Any) -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
        """(make_model, data, own keywords, options) to call it again; what is given takes the place of what is recorded.

        Raises DataError or ModelError where something must be given.
        """
        if data is None and self.data is None:
            raise DataError(
                "this run's data were given by a Python program, and no folder holds them: write "
                "ravine.resume(DIR, data=(x, y))."
            )
        if test is None and self.arrays_as_test:
            raise DataError(
                "this run's test split was given by a Python program: write ravine.resume(DIR, test=(x, y))."
            )
        if make_model is None and not self.model:
            raise ModelError(
                "this run's model was made by a callable that no record can name: write "
                "ravine.resume(DIR, make_model=...)."
            )
        own = dict(self.own)
        if own.get("space") is not None:
            own["space"] = read_space(own["space"])
        options = {**self.options, "test": test if test is not None else self._found(self.test)}
        return make_model or self.model, data if data is not None else self._found(self.data), own, options

    def _found(self, name: str | None) -> str | None:
        """A path as it is found from here: where it was relative to another directory, that one is tried too."""
        if name is None or Path(name).exists() or not (Path(self.place) / name).exists():
            return name
        return str(Path(self.place) / name)


def read_request(folder: Path, *, known: Container[str]) -> Request:
    """Raises FolderError when config.json is missing, damaged or of a version that asked for other work than is known."""
    path = folder / "config.json"
    record = read_json(path)
    try:
        request = Request.model_validate(record.get("request") if isinstance(record, dict) else record)
    except ValidationError as error:
        raise FolderError(
            f"{path} does not say what was asked ({error.error_count()} fields are missing or wrong): it is damaged or of "
            "an older version; run again."
        ) from error
    if request.work not in known:
        raise FolderError(
            f"{path} is of a run of {request.work!r}, which this version does not know: take the other one."
        )
    with understood(path):
        return _checked(request)


def _checked(request: Request) -> Request:
    """The request with the keywords that there are and values of their types, for the record may be a stranger's."""
    missing = sorted(NEEDED[request.work] - request.own.keys())
    if missing:
        raise KeyError(missing[0])
    own = Own.model_validate(request.own).model_dump(exclude_unset=True)
    options = Recorded.model_validate(request.options).model_dump(exclude_unset=True)
    if own.get("space") is not None:
        samples(read_space(own["space"]))
    Setting(**own.get("setting", {}))
    Sharing(**own.get("sharing") or {})
    return request.model_copy(update={"own": own, "options": options})


def written_space(space: Space) -> dict[str, Any]:
    """A space as JSON: {"lr": {"kind": "Log", "low": 1e-4, "high": 0.1}}."""
    return {name: {"kind": type(d).__name__, **dataclasses.asdict(d)} for name, d in space.items()}


def read_space(space: Mapping[str, Mapping[str, Any]]) -> dict[str, Distribution]:
    """The space that was written so."""
    return {
        name: DISTRIBUTIONS[d["kind"]](**{key: value for key, value in d.items() if key != "kind"})
        for name, d in space.items()
    }
