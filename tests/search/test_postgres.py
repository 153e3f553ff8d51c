"""A study that drivers share in a real PostgreSQL: nothing lost, nothing done twice, and one line for what is wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import pytest
import sqlalchemy.exc
from optuna.trial import FrozenTrial, TrialState

import ravine
from ravine.cli import main
from ravine.data import Data
from ravine.errors import AwayError, InputError, SettingError, StorageError
from ravine.reports.folder import read_run
from ravine.search import Asked, Choice, Log, Study, StudyServer, known_settings, study_server

from . import sharing_drivers
from .postgres import Postgres, ended, needs_postgres
from .sharing_drivers import SPACE, drive, end, opened

pytestmark = needs_postgres


@pytest.fixture(scope="module")
def lab() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def running(lab: Postgres) -> Iterator[Postgres]:
    """The server, for a test that stops it: it runs again afterwards."""
    yield lab
    lab.start()


@pytest.fixture
def joined(lab: Postgres, request: pytest.FixtureRequest) -> Iterator[Callable[..., Study]]:
    """Makes a driver of this test's own study."""
    studies: list[Study] = []

    def join(driver: str, sampler: str = "random", **more: Any) -> Study:
        studies.append(opened(lab.address(), request.node.name, driver, sampler, **more))
        return studies[-1]

    yield join
    for study in studies:
        study.close()


def found(lab: Postgres, name: str) -> list[FrozenTrial]:
    """As anybody would read it, knowing nothing of Ravine."""
    storage = optuna.storages.RDBStorage(lab.address())
    trials = optuna.load_study(study_name=name, storage=storage).trials
    storage.remove_session()
    storage.engine.dispose()
    return trials


def ask(study: Study, count: int) -> list[Asked]:
    return [study.ask("adamw", SPACE, "coarse") for _ in range(count)]


def points(asked: list[Asked]) -> set[tuple[float, float]]:
    return {(a.params["lr"], a.params["dropout"]) for a in asked}


def test_two_drivers_share_200_trials_while_the_server_breaks_down_and_none_is_lost_or_run_twice(
    running: Postgres,
) -> None:
    words = [sys.executable, sharing_drivers.__file__, running.address(), "two", "sobol", "100", "ann", "bob"]
    drivers = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert drivers.stdout is not None
        ran = [drivers.stdout.readline() for _ in range(60)]
        running.stop()
        time.sleep(0.5)
        running.start()
        ran += drivers.stdout.readlines()
        assert drivers.wait(60) == 0
    finally:
        ended(drivers)
        drivers.communicate()
    trials = found(running, "two")
    assert sorted(int(line.split()[1]) for line in ran) == list(range(200))
    assert [t.number for t in trials] == list(range(200))
    assert {f"{t.user_attrs['driver']} {t.number}\n" for t in trials} == set(ran)
    assert Counter(t.user_attrs["driver"] for t in trials) == {"ann": 100, "bob": 100}
    for t in trials:
        assert t.state == (TrialState.COMPLETE if t.number % 3 else TrialState.PRUNED)
        assert set(t.intermediate_values) == ({10, 20} if t.number % 3 else {10})
        assert t.value == t.intermediate_values[max(t.intermediate_values)]
    alone = Study(None, "classification", 7, ["adamw"], sampler="sobol")
    assert [t.params for t in trials] == [a.params for a in ask(alone, 200)]  # as if one driver had asked for them


def test_a_driver_that_was_killed_takes_up_its_own_running_trials_and_leaves_the_others_alone(
    lab: Postgres, joined: Callable[..., Study], request: pytest.FixtureRequest
) -> None:
    ann, bob = joined("ann"), joined("bob")
    ours, theirs = [], []
    for _ in range(3):
        ours += ask(ann, 1)
        theirs += ask(bob, 1)
    end(ann, ours[0])
    ann.close()
    again = joined("ann")
    assert ask(again, 3) == ours
    for a in ours:
        end(again, a)
    (new,) = ask(again, 1)
    assert new.number == 6
    states = {t.number: t.state.name for t in found(lab, request.node.name)}
    assert {states[a.number] for a in theirs} == {"RUNNING"}
    assert [states[a.number] for a in ours] == ["PRUNED" if a.number % 3 == 0 else "COMPLETE" for a in ours]
    assert {t.number for t in again.trials} == {a.number for a in [*ours, new]}


@pytest.fixture
def every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver says that it lives whenever it may."""
    monkeypatch.setattr("ravine.search.study.BEAT", 0.0)


def let_an_hour_pass(lab: Postgres, study: str) -> None:
    """Since anybody who works on this study was heard of."""
    of = f"(SELECT trial_id FROM trials JOIN studies USING (study_id) WHERE study_name = '{study}')"  # noqa: S608
    lab.tell(
        f"UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '1 hour' WHERE trial_id IN {of}",  # noqa: S608
        database="lab",
    )


@pytest.mark.usefixtures("every_word")
@pytest.mark.parametrize("resumed", [True, False])
def test_the_running_trials_of_a_driver_without_a_word_fail_until_it_goes_on(
    lab: Postgres, joined: Callable[..., Study], request: pytest.FixtureRequest, *, resumed: bool
) -> None:
    def states() -> list[str]:
        return [t.state.name for t in found(lab, request.node.name)]

    ann, bob, notes = joined("ann"), joined("bob"), []
    bob._store.say = notes.append
    ours, theirs = ask(ann, 3), ask(bob, 1)
    end(ann, ours[0])
    bob.alive()
    assert (states(), notes) == (["PRUNED", *["RUNNING"] * 3], [])
    let_an_hour_pass(lab, request.node.name)
    for _ in range(2):
        bob.alive()
        assert states() == ["PRUNED", "FAIL", "FAIL", "RUNNING"]
    assert [t.number for t in ann.trials if t.state.name == "FAIL"] == [1, 2]
    assert ["Driver ann of this study is gone" in note and "its 2 running trials" in note for note in notes] == [True]
    if resumed:
        ann = joined("ann")
        assert states() == ["PRUNED", *["RUNNING"] * 3]
        assert ask(ann, 3) == ours
    for study, asked in ((ann, ours), (bob, theirs)):
        for one in asked:
            end(study, one)
    assert states() == ["PRUNED", "COMPLETE", "COMPLETE", "PRUNED"]
    assert [t.state.name for t in ann.trials] == ["PRUNED", "COMPLETE", "COMPLETE"]
    assert not any("gone" in t.user_attrs for t in found(lab, request.node.name))


@pytest.mark.parametrize("committed", [True, False])
def test_a_trial_whose_connection_breaks_as_it_is_written_is_there_once(
    joined: Callable[..., Study], monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    ann = joined("ann", "sobol")
    turn, broken = ann._store.turn, []

    @contextmanager
    def breaks(study_id: int) -> Iterator[None]:
        error = sqlalchemy.exc.OperationalError("", {}, Exception("gone"))
        with turn(study_id):
            yield
            if not broken and not committed:
                broken.append(True)
                raise error
        if not broken:
            broken.append(True)
            raise error

    monkeypatch.setattr(ann._store, "turn", breaks)
    asked = ask(ann, 2)
    assert [t.number for t in ann.everybodys] == [0, 1]
    assert asked == ask(Study(None, "classification", 7, ["adamw"], sampler="sobol"), 2)


@pytest.mark.parametrize("sampler", ["grid", "sobol", "halton"])
def test_drivers_in_turn_are_dealt_the_points_that_one_alone_would_try(
    joined: Callable[..., Study], sampler: str
) -> None:
    ann, bob = joined("ann", sampler, trials=16), joined("bob", sampler, trials=4)
    dealt = [one for _ in range(9) for driver in (ann, bob) for one in ask(driver, 1)]
    alone = Study(None, "classification", 7, ["adamw"], sampler=sampler, trials=16)
    assert points(dealt) == points(ask(alone, 18))
    assert len(points(dealt)) == 18


def test_settings_known_to_be_good_are_tried_by_one_driver_alone(joined: Callable[..., Study]) -> None:
    good = known_settings("adamw", SPACE)[:2]
    ann, bob = joined("ann"), joined("bob")
    ours = [ann.ask("adamw", SPACE, "coarse", first=one) for one in good]
    theirs = [bob.ask("adamw", SPACE, "coarse", first=one) for one in good]
    assert [dict(a.params) for a in ours] == [{"optimizer": "adamw", **one} for one in good]
    assert not points(ours) & points(theirs)
    assert ["given" in t.user_attrs for t in ann.everybodys] == [True, True, False, False]


def test_a_driver_learns_from_what_the_others_told(joined: Callable[..., Study]) -> None:
    ann, bob = joined("ann", "tpe"), joined("bob", "tpe")
    alone = Study(None, "classification", 7, ["adamw"], sampler="tpe")
    for study in (ann, alone):
        for a in ask(study, 12):
            end(study, a)
    (learnt,) = ask(bob, 1)
    assert learnt == ask(alone, 1)[0]
    assert learnt.params != Study(None, "classification", 7, ["adamw"]).ask("adamw", SPACE, "coarse", number=0).params
    assert bob.better_elsewhere() is not None
    assert ann.better_elsewhere() is None


def test_what_is_told_while_the_server_is_away_waits_for_it_and_training_does_not(
    running: Postgres, joined: Callable[..., Study], request: pytest.FixtureRequest
) -> None:
    ann, notes = joined("ann"), []
    ann._store.say = notes.append
    asked = ask(ann, 2)
    running.stop()
    began = time.monotonic()
    for a in asked:
        end(ann, a)
    assert time.monotonic() - began < 1
    running.start()
    ann.keep(None)
    assert [t.state.name for t in found(running, request.node.name)] == ["PRUNED", "COMPLETE"]
    assert [" is away (" in notes[0], " is back, " in notes[1], len(notes)] == [True, True, 2]


def test_drivers_that_come_to_an_empty_database_at_the_same_time_all_find_their_tables(lab: Postgres) -> None:
    lab.tell("CREATE DATABASE empty OWNER ann")
    address = lab.address(database="empty")
    with ThreadPoolExecutor() as pool:
        ran = [pool.submit(drive, address, "new", driver, "random", 5) for driver in ("ann", "bob", "cyd")]
        assert sorted(number for one in ran for number in one.result()) == list(range(15))


class Searched(NamedTuple):
    """A search alone in the study `joint`, whose folder is `alone`."""

    result: ravine.Result
    folder: Path
    trials: list[FrozenTrial]


SEARCH: dict[str, Any] = {
    "settings": {"hidden": [4]},
    "space": {"lr": Log(1e-3, 1e-1), "optimizer": Choice(["adamw"])},
    "trials": 4,
    "epochs": 2,
}


@pytest.fixture(scope="module")
def searched(lab: Postgres, three_classes: Data, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("runs") / "alone"
    result = ravine.run_search("mlp", three_classes, **SEARCH, storage=lab.address(), study="joint", out=folder)
    return Searched(result, folder, found(lab, "joint"))


@pytest.mark.usefixtures("every_word")
def test_a_search_joins_the_study_of_another_and_each_folder_holds_it_whole(
    lab: Postgres, three_classes: Data, searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat, beats = StudyServer.beat, []
    monkeypatch.setattr(StudyServer, "beat", lambda *about: beats.append(about) or beat(*about))
    place: dict[str, Any] = {"storage": lab.address(), "study": "joint", "out": tmp_path / "joined"}
    joined = ravine.run_search("mlp", three_classes, **SEARCH, **place)
    assert len(beats) > joined.trials  # it says that it lives when it asks, and while it trains
    trials = found(lab, "joint")
    drivers = [t.user_attrs["driver"] for t in trials]
    assert (joined.trials, drivers[:4], len({*drivers[4:]})) == (4, [drivers[0]] * 4, 1)
    assert all(t.state.is_finished() for t in trials)
    first, second = (max(t.value or 0 for t in part if t.state.name == "COMPLETE") for part in (trials[:4], trials[4:]))
    assert joined.elsewhere.startswith("Another driver of this study did better: trial ") == (first > second)
    assert searched.result.elsewhere == ""
    for folder, count in ((searched.folder, 4), (tmp_path / "joined", 8)):
        copy = optuna.load_study(study_name="ravine", storage=f"sqlite:///{folder / 'study.db'}").trials
        assert [(t.number, t.value, t.params) for t in copy] == [(t.number, t.value, t.params) for t in trials[:count]]
        assert [t.number for t in read_run(folder).trials] == list(range(count - 4, count))
        assert json.loads((folder / "config.json").read_text())["request"]["own"]["storage"] == lab.address(
            password=False
        )
        assert not [p for p in folder.rglob("*") if p.is_file() and b"secret" in p.read_bytes()]


def test_a_search_whose_server_stays_away_ends_and_is_resumed_when_it_is_back(
    running: Postgres, three_classes: Data, searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, float]] = []

    def watched(row: dict[str, float]) -> None:
        seen.append(row)
        if len(seen) == 2:
            running.stop()

    monkeypatch.setattr(study_server, "PATIENCE", 0.3)
    place: dict[str, Any] = {"storage": running.address(), "study": "broken", "out": tmp_path / "broken"}
    with pytest.raises(AwayError, match=r"away for 0 s .* To go on: ravine resume .*broken"):
        ravine.run_search("mlp", three_classes, **SEARCH, **place, on_epoch=watched)
    assert not (tmp_path / "broken" / "study.db").exists()
    with pytest.raises(StorageError, match=r"cannot be used \(.*refused.*see that the server runs"):
        ravine.resume(tmp_path / "broken", data=three_classes)
    running.start()
    monkeypatch.setenv("PGPASSWORD", "secret")
    again = ravine.resume(tmp_path / "broken", data=three_classes)
    assert (again.best, again.trials) == (searched.result.best, searched.result.trials)
    whole = [(t.number, t.state, t.value, t.params) for t in searched.trials]
    assert [(t.number, t.state, t.value, t.params) for t in found(running, "broken")] == whole


def kill_a_search(data: Data, **more: Any) -> None:
    """A search in a process of its own, killed when it has seen a trial."""
    child = os.fork()
    if not child:
        try:
            ravine.run_search("mlp", data, **SEARCH, **more, on_epoch=lambda _row: os.kill(os.getpid(), signal.SIGKILL))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_search_that_was_killed_is_resumed_with_the_password_that_no_folder_holds_and_ends_as_one_never_stopped(
    lab: Postgres, three_classes: Data, searched: Searched, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    kill_a_search(three_classes, storage=lab.address(), study="killed", out=folder)
    assert {t.state.name for t in found(lab, "killed")} == {"RUNNING"}
    with pytest.raises(StorageError, match=r"no password supplied.*: give its password in PGPASSWORD or in"):
        ravine.resume(folder, data=three_classes)
    again = ravine.resume(folder, data=three_classes, storage=lab.address())
    assert (again.best, again.trials) == (searched.result.best, searched.result.trials)
    whole = [(t.number, t.state, t.value, t.params, t.intermediate_values) for t in searched.trials]
    assert [(t.number, t.state, t.value, t.params, t.intermediate_values) for t in found(lab, "killed")] == whole
    assert not [p for p in folder.rglob("*") if p.is_file() and b"secret" in p.read_bytes()]


def test_a_study_that_lies_in_its_folder_is_not_resumed_elsewhere(
    lab: Postgres, three_classes: Data, tmp_path: Path
) -> None:
    kill_a_search(three_classes, out=tmp_path / "own")
    with pytest.raises(SettingError, match=r"the study of .*own lies in the folder: resume it without --storage"):
        ravine.resume(tmp_path / "own", data=three_classes, storage=lab.address())


def test_the_command_line_searches_in_a_database_and_keeps_its_password_to_itself(
    lab: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "search",
        "--data",
        "digits",
        "--set",
        "hidden=4",
        "--trials",
        "4",
        "--epochs",
        "1",
        "--space",
        "lr=log(0.001,0.1)",
    ]
    out = str(tmp_path / "named")
    assert main([*words, "--storage", lab.address(), "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 4
    assert len(found(lab, "named")) == 4
    config = (tmp_path / "named" / "config.json").read_text()
    assert f"--storage {lab.address(password=False)}" in config
    wrong = lab.address(database="none")
    assert main([*words, "--storage", wrong, "--out", str(tmp_path / "new")]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("ravine: postgresql+psycopg://ann@127.0.0.1")
    assert "secret" not in said
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("guests")
@pytest.mark.parametrize(
    ("user", "database", "said"),
    [
        ("eve", "lab", r"password authentication failed.*: give its password in PGPASSWORD or in ~/\.pgpass\.$"),
        ("ann", "nowhere", r'database "nowhere" does not exist\): create it \(createdb\), or name another one\.$'),
        ("guest", "lab", r"permission denied for .*: the user needs the right to create tables and to write"),
        ("guest", "bare", r"permission denied for schema public.*: the user needs the right to create tables"),
        ("ann", "frozen", r"read-only transaction\): the server, the database or the user is read-only"),
    ],
)
def test_a_server_that_refuses_is_quoted_with_what_to_do(lab: Postgres, user: str, database: str, said: str) -> None:
    began = time.monotonic()
    with pytest.raises(StorageError, match=said) as refused:
        StudyServer(lab.address(user, database=database), "any")
    assert f"{user}@127.0.0.1" in str(refused.value)
    assert not {"secret", "wrong", "visit"} & set(str(refused.value).replace(":", " ").replace("@", " ").split())
    assert time.monotonic() - began < 5


@pytest.fixture(scope="module")
def guests(lab: Postgres) -> None:
    """A user who may read and no more; a database without tables; one that was made read-only."""
    StudyServer(lab.address(), "any")  # its tables
    lab.tell("CREATE USER guest PASSWORD 'visit'", "CREATE DATABASE bare OWNER ann", "CREATE DATABASE frozen OWNER ann")
    lab.tell("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest", database="lab")
    StudyServer(lab.address(database="frozen"), "any")
    lab.tell("ALTER DATABASE frozen SET default_transaction_read_only = on")


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(study_server.CONNECTING, "psycopg", {"connect_timeout": 2})
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        began = time.monotonic()
        with pytest.raises(StorageError, match=r"timeout.*see that the server runs"):
            StudyServer(f"postgresql+psycopg://ann@127.0.0.1:{deaf.getsockname()[1]}/lab", "any")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("begun", "asked", "said"),
    [
        ({}, {"seed": 8}, "a search with seed 7, and 8 is asked for: join it as it was begun, or begin another"),
        ({}, {"sampler": "tpe"}, "a search with sampler 'random', and 'tpe'"),
    ],
)
def test_a_study_of_something_else_is_not_joined(
    joined: Callable[..., Study], begun: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    joined("ann", **begun)
    with pytest.raises(StorageError, match=said):
        joined("bob", **asked)


def test_a_study_of_another_measure_or_another_program_is_not_joined(
    lab: Postgres, joined: Callable[..., Study], request: pytest.FixtureRequest
) -> None:
    joined("ann")
    server = StudyServer(lab.address(), request.node.name)
    with pytest.raises(StorageError, match="a search with measured 'accuracy', and 'rmse' is asked for"):
        Study(None, "regression", 7, ["adamw"], server=server)
    storage = optuna.storages.RDBStorage(lab.address())
    optuna.create_study(study_name="other", storage=storage, direction="minimize")
    storage.remove_session()
    storage.engine.dispose()
    with pytest.raises(StorageError, match=r"the study 'other' in .* is a study of another program"):
        opened(lab.address(), "other", "ann", "random")


def test_values_of_another_kind_under_the_same_name_are_refused(joined: Callable[..., Study]) -> None:
    joined("ann").ask("adamw", {"crop": Choice([0, 1])}, "coarse")
    with pytest.raises(InputError, match=r"searches other values than are asked for .*choose another --study"):
        joined("bob").ask("adamw", {"crop": Choice([0, 2])}, "coarse")


def test_a_study_that_somebody_deletes_is_missed(lab: Postgres, joined: Callable[..., Study]) -> None:
    ann = joined("ann")
    (asked,) = ask(ann, 1)
    storage = optuna.storages.RDBStorage(lab.address())
    optuna.delete_study(study_name=ann._store.study, storage=storage)
    storage.remove_session()
    storage.engine.dispose()
    with pytest.raises(StorageError, match=r"is damaged or of another search \(its study was deleted\)"):
        end(ann, asked)
    with pytest.raises(StorageError, match="its study was deleted"):
        ask(ann, 1)
    ann._store._waiting.clear()
