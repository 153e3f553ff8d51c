"""Where a shared study lies, as far as no server is needed: addresses, and a SQLite file that drivers share."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ravine
from ravine.data import Data
from ravine.errors import SettingError
from ravine.search import Study, StudyServer, kept, without_password

from .sharing_drivers import SPACE, drive, opened

ADDRESS = "postgresql+psycopg://ann@127.0.0.1/lab"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("lab", "'lab' is no address of a database; write postgresql"),
        ("postgresql+psycopg://ann@127.0.0.1:port/lab", "is no address of a database"),
        ("postgres://ann@127.0.0.1/lab", "knows no database or driver 'postgres'; write postgresql"),
        ("postgresql+psychic://ann@127.0.0.1/lab", r"knows no database or driver 'postgresql\+psychic'"),
        ("postgresql+psycopg://ann@127.0.0.1", "names no database"),
        ("postgresql+psycopg://ann:se@cret@127.0.0.1/lab", "had an @ in its user or password: write %40"),
        ("mysql+pymysql://ann@127.0.0.1/lab", "needs pymysql, which is not installed: pip install pymysql"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_before_anything_is_reached(address: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as refused:
        StudyServer(address, "any")
    assert "cret" not in str(refused.value)


def test_without_its_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        SettingError, match=r"needs psycopg, which is not installed: pip install 'ravine\[postgres\]'\.$"
    ):
        StudyServer(ADDRESS, "any")


def test_a_password_is_neither_shown_nor_kept() -> None:
    for secret in (
        ADDRESS.replace("ann", "ann:se%40cret"),
        f"{ADDRESS}?password=secret",
        f"{ADDRESS}?sslpassword=secret",
    ):
        assert (without_password(f"--storage '{secret}' --seed 1"), kept(secret)) == (
            f"--storage '{ADDRESS}' --seed 1",
            ADDRESS,
        )
    assert without_password("--space lr=log(0.1,1) --data a?b") == "--space lr=log(0.1,1) --data a?b"


def test_a_study_is_named_where_it_has_a_database(three_classes: Data, tmp_path: Path) -> None:
    with pytest.raises(
        SettingError, match="study 'joint' names one in a database: give its address too, --storage URL"
    ):
        ravine.run_search("mlp", three_classes, study="joint", out=tmp_path / "run")
    with pytest.raises(SettingError, match="--study has 600 characters"):
        StudyServer(f"sqlite:///{tmp_path / 'shared.db'}", "x" * 600)


def test_drivers_of_one_machine_share_a_sqlite_file(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'shared.db'}"
    with ThreadPoolExecutor() as pool:
        ran = [pool.submit(drive, address, "two", driver, "sobol", 15) for driver in ("ann", "bob")]
        assert sorted(number for one in ran for number in one.result()) == list(range(30))
    study = opened(address, "two", "cyd", "sobol", trials=15)
    alone = Study(None, "classification", 7, ["adamw"], sampler="sobol")
    assert [t.params for t in study.everybodys] == [alone.ask("adamw", SPACE, "coarse").params for _ in range(30)]
    study.close()
