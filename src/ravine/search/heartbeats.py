"""Which drivers of a shared study live, and what becomes of the trials of those that do not.

A driver whose trials run says every BEAT seconds that it lives, in Optuna's own table of heartbeats: by one of its trials,
for it has hundreds. One that was killed says nothing. After SILENCE the others end its running trials as failed, with the
attribute `gone`, so that nobody takes them for trials that run; when their driver is resumed they run again, which Optuna
itself has no word for. All times are the server's.
"""

from __future__ import annotations

import json
from contextlib import suppress

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import DateTime, Text, func, select, text

__all__ = ["BEAT", "SILENCE", "fail_running", "run_again", "silent_drivers"]

BEAT, SILENCE = 60.0, 600.0
"""Seconds from one word of a driver to the next; without any, after which it is taken for gone."""

LAST = text(
    "SELECT d.value_json AS driver, MAX(h.heartbeat) AS beat FROM trials t "
    "JOIN trial_user_attributes d ON d.trial_id = t.trial_id AND d.key = 'driver' "
    "JOIN trial_heartbeats h ON h.trial_id = t.trial_id WHERE t.study_id = :id GROUP BY d.value_json"
).columns(driver=Text, beat=DateTime)
"""When each driver of a study was heard of last, also by trials that have ended since."""

GONE = text(
    "SELECT t.trial_id FROM trials t "
    "JOIN trial_user_attributes d ON d.trial_id = t.trial_id AND d.key = 'driver' "
    "JOIN trial_user_attributes g ON g.trial_id = t.trial_id AND g.key = 'gone' "
    "WHERE t.study_id = :id AND t.state = 'FAIL' AND d.value_json = :driver"
)
"""The trials of a driver that others have ended because it was gone."""

AGAIN = text("UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE trial_id = :trial")
FORGET = text("DELETE FROM trial_user_attributes WHERE trial_id = :trial AND trial_user_attributes.key = 'gone'")


def silent_drivers(storage: RDBStorage, study_id: int) -> list[str]:
    """Those that were heard of once, and not for SILENCE seconds. A driver of an older Ravine was never heard of."""
    with storage.engine.connect() as connection:
        now = connection.execute(select(func.now())).scalar_one().replace(tzinfo=None)  # as Optuna writes it
        last = connection.execute(LAST, {"id": study_id}).all()
    return [json.loads(driver) for driver, beat in last if (now - beat).total_seconds() > SILENCE]


def fail_running(storage: RDBStorage, study_id: int, driver: str) -> int:
    """End the running trials of a driver that is gone; how many there were."""
    running = storage.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,))
    theirs = [trial._trial_id for trial in running if trial.user_attrs.get("driver") == driver]
    for trial in theirs:
        with suppress(UpdateFinishedTrialError):  # somebody else has ended it just now
            storage.set_trial_user_attr(trial, "gone", f"no word of its driver for {SILENCE:.0f} s")
            storage.set_trial_state_values(trial, TrialState.FAIL)
    return len(theirs)


def run_again(storage: RDBStorage, study_id: int, driver: str) -> int:
    """Let those trials of a driver run that others have ended because it was gone; how many there were."""
    with storage.engine.begin() as connection:
        trials = connection.execute(GONE, {"id": study_id, "driver": json.dumps(driver)}).scalars().all()
        for trial in trials:
            connection.execute(AGAIN, {"trial": trial})
            connection.execute(FORGET, {"trial": trial})
    return len(trials)
