"""One setting trained by several processes: who they are, what they are told, and who writes.

The leader walks as a process alone does, and has the folder; the others train along, and wait for its result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from ravine.errors import DataError, SettingError
from ravine.launched import launched
from ravine.recipe.opening import Options
from ravine.recipe.prepare import device_of
from ravine.recipe.walk import Walk
from ravine.training import Setting
from ravine.training.shared import SharedRun, SharedSaver, Sharing, Team, join

__all__ = ["begun_together", "shared", "silenced"]


@contextmanager
def begun_together(work: str, own: Mapping[str, Any], options: Options) -> Iterator[Team | None]:
    """The processes that share this work, while it is done. None: this one alone, as ever.

    Raises SettingError for work that cannot be shared.
    """
    place, sharing = launched(), Sharing(**own.get("sharing") or {})
    if place.size == 1 and not sharing.needed:
        yield None
        return
    if work != "train":
        raise SettingError(
            f"{place.by} began {place.size} processes, and ravine {work.replace('_', '-')} is the work of one: write it "
            "without. ravine train and ravine resume of a training can be shared."
        )
    if own.get("ensemble") == "independent":
        raise SettingError(
            "the members of an independent ensemble train side by side in one process: leave --ensemble out, write "
            "snapshots or checkpoints, or leave out what goes through Lightning Fabric."
        )
    team = join(sharing, device_of(options.get("device", "auto")))
    with team.together():
        yield team


def silenced(options: Options) -> Options:
    """The options of a run for a process that does not lead: it writes nothing and says nothing."""
    return {**options, "out": None, "watch": None, "on_epoch": None, "tensorboard": False}


def shared(team: Team, walk: Walk, setting: Setting, *, average: str | None) -> tuple[Setting, dict[str, Any]]:
    """The setting that a team trains, and how: keywords of `train_members`, the saver among them.

    Raises DataError where the processes have read different examples, SettingError for a setting that cannot be shared.
    """
    session = walk.session
    team.folder = team.told(str(walk.folder.path or ""))
    seen = team.gathered(session.data.fingerprint)
    if other := next((rank for rank, one in enumerate(seen) if one != seen[0]), None):
        raise DataError(
            f"rank {other} has read other examples than rank 0 from {session.data.name}: give all machines the same files."
        )
    before = session.saver
    session.saver = SharedSaver(before.folder, say=before.say, spent=before.spent, team=team)
    processes = session.saver.decided(
        "processes", lambda: team.size
    )  # those that began it: a resumed run keeps its batch
    scaled, said = team.sharing.scaled(setting, processes)
    batch_size = min(scaled.batch_size, len(session.data.train))
    team.sharing.check(scaled, batch_size=batch_size, processes=team.size, average=average)
    part = team.part(batch_size)
    session.watch.note(
        f"{team.described}: an update takes {batch_size} examples, this process {part.stop - part.start} of them"
        f"{f' in {team.sharing.accumulate} parts' if team.sharing.accumulate > 1 else ''}."
    )
    if said:
        session.watch.note(said)
    more = {"saver": session.saver, "make": partial(SharedRun, team=team, rescue=session.saver.save)}
    return scaled, more
