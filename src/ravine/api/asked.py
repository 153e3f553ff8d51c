"""What a run remembers of its workers and of where its study lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ravine.errors import SettingError
from ravine.recipe.opening import Keywords
from ravine.search import STUDY_NAME, OnRay
from ravine.trust import name_by_hand

__all__ = ["storage_record", "workers_record"]


def workers_record(where: int | OnRay) -> dict[str, Any]:
    """What was said of workers, as config.json keeps it."""
    if isinstance(where, int):
        return {"workers": where}
    name_by_hand("workers", where.address)
    return {"workers": where.address, "worker_cpus": where.cpus, "worker_gpus": where.gpus}


def storage_record(storage: str | None, study: str | None, options: Keywords) -> dict[str, str | None]:
    """Where the study lies, and its name there."""
    if storage is None and study is not None:
        raise SettingError(f"study {study!r} names one in a database: give its address too, --storage URL.")
    out = options.get("out")
    name = Path(out).resolve().name if out is not None else STUDY_NAME
    return {"storage": storage, "study": study or name} if storage is not None else {}
