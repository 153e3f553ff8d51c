"""A study that several drivers share: who this driver is, what all must have in common, and how the others fared."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ravine.errors import StorageError
from ravine.recipe.request import read_space, written_space
from ravine.recipe.session import Session
from ravine.search import Space, Study

__all__ = ["agreed_spaces", "in_common", "named_driver", "said_of_others"]


def in_common(session: Session) -> dict[str, Any]:
    """What the trials of a study must share to be compared: the examples, divided in the same way, and the model."""
    return {"data": session.data.fingerprint[:16], "model_parameters": session.parameters}


def named_driver(folder: Path | None) -> str:
    """A name for a driver that no other has, and that tells a person which it is."""
    place = folder.resolve() if folder else f"process {os.getpid()}"
    return f"{socket.gethostname()}:{place} {secrets.token_hex(4)}"


def agreed_spaces(study: Study, spaces: Mapping[str, Space], given: Space) -> dict[str, Space]:
    """What all drivers search: the spaces of the one that came first, for step 3 ends a little differently where time decides.

    given: what a person asked for; it is not replaced. Raises StorageError where others search something else.
    """
    found = study.agreed("spaces", {name: written_space(space) for name, space in spaces.items()})
    agreed: dict[str, Space] = {name: read_space(space) for name, space in found.items()}
    for optimizer, space in spaces.items():
        ours, theirs = set(space), set(agreed.get(optimizer, {}))
        other = [*sorted(ours ^ theirs), *(n for n in given if n in ours and space[n] != agreed[optimizer].get(n))]
        if other:
            raise StorageError(
                f"the study searches {other[0]} of {optimizer} as {agreed.get(optimizer, {}).get(other[0])}, and "
                f"{space.get(other[0])} is asked for: give the same --space, or begin another study with --study."
            )
    return agreed


def said_of_others(study: Study) -> str:
    """In a sentence, what the others came to where the best of them is better than ours; "" where it is not."""
    best = study.better_elsewhere()
    if best is None:
        return ""
    settings = ", ".join(f"{n} {v:.3g}" if isinstance(v, float) else f"{n} {v}" for n, v in best.params.items())
    return (
        f"Another driver of this study did better: trial {best.number} of {best.user_attrs.get('driver')} reached "
        f"validation {study.measured} {best.value:.4f} ({settings})."
    )
