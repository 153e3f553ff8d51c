"""Nothing that is loaded runs code: not a run folder, a configuration, a study, a data set or an image, whoever made it.

The one exception is a factory that this user has named by hand.
"""

from __future__ import annotations

import ast
import json
import shutil
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

import ravine
from ravine import trust
from ravine.cli import main, options
from ravine.data.huggingface import check_builder
from ravine.engines import compiler
from ravine.errors import DataError, FolderError, InputError, ModelError, SettingError
from ravine.training import Setting
from ravine.training.plain_database import check_plain_database

SOURCE = Path(ravine.__file__).parent
Changed = Callable[[Path, Callable[[dict[str, Any]], object]], None]

ROOM = """
from pathlib import Path
Path({mark!r}).write_text("run")
from torch import nn
def net(input_shape, outputs, **settings):
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], 4), nn.ReLU(), nn.Linear(4, outputs))
"""


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user who has named nothing yet, standing in a folder of their own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(trust, "_here", set())
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What the stranger's code would write, if it were run."""
    return tmp_path / "work" / "mark"


@pytest.fixture
def strangers(small_run: Path, tmp_path: Path, mark: Path, changed: Changed) -> Path:
    """A run folder that came with code beside it, which its records name as the factory."""
    folder = tmp_path / "work" / "run"
    shutil.copytree(small_run, folder)
    (tmp_path / "work" / "evil.py").write_text(ROOM.format(mark=str(mark)))
    for record in (folder / "best" / "model.json", *(folder / "checkpoints").glob("*.json")):
        changed(record, lambda found: found.update(model="evil.py:net"))
    changed(folder / "config.json", lambda found: found["request"].update(model="evil.py:net"))
    return folder


@pytest.mark.parametrize("name", ["evil.py:net", "evil:net", "ABSOLUTE", "os:system", "antigravity:fly"])
@pytest.mark.parametrize("verb", ["load", "evaluate", "inspect", "resume"])
def test_a_strangers_run_folder_names_no_code_to_run(
    strangers: Path, mark: Path, changed: Changed, name: str, verb: str
) -> None:
    name = f"{strangers.parent / 'evil.py'}:net" if name == "ABSOLUTE" else name
    changed(strangers / "best" / "model.json", lambda found: found.update(model=name))
    changed(strangers / "config.json", lambda found: found["request"].update(model=name))
    if verb == "resume":
        (strangers / "resume").mkdir()
    with pytest.raises((ModelError, SettingError), match=r"you have named no such one here.*--model") as refused:
        getattr(ravine, verb)(strangers)
    assert "\n" not in str(refused.value)
    assert not mark.exists()


def test_the_command_line_says_so_too_and_takes_the_users_word(
    strangers: Path, mark: Path, flowers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(strangers), "--data", str(flowers)]) == 2
    assert "write --model evil.py:net" in capsys.readouterr().err
    assert not mark.exists()
    main(["evaluate", str(strangers), "--data", str(flowers), "--model", "evil.py:net"])
    assert mark.exists()


def test_what_was_named_by_hand_is_known_to_later_processes_and_only_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flowers: Path
) -> None:
    (tmp_path / "work" / "nets.py").write_text(ROOM.format(mark="mark"))
    more: dict[str, Any] = {"target": "kind", "epochs": 1, "out": "mine"}
    for name in ("nets.py:net", "nets:net"):
        ravine.train(name, str(flowers), **more, overwrite=True)
        monkeypatch.setattr(trust, "_here", set())  # a later process
        assert ravine.load("mine").task == "classification"
    monkeypatch.delitem(__import__("sys").modules, "nets")
    shutil.copytree(tmp_path / "work", tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")  # here `nets` is another file
    with pytest.raises(ModelError, match="'nets:net', whose code would be run"):
        ravine.load("mine")


def test_a_list_that_others_may_write_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust.name_by_hand("storage", "postgresql://db/lab")
    monkeypatch.setattr(trust, "_here", set())
    assert trust.is_named("storage", "postgresql://db/lab")
    (tmp_path / "state" / "ravine" / "named").chmod(0o666)
    assert not trust.is_named("storage", "postgresql://db/lab")


def test_naming_the_same_twice_is_one_line_and_no_home_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        monkeypatch.setattr(trust, "_here", set())
        trust.name_by_hand("model", "nets.py:net")
    assert len((tmp_path / "state" / "ravine" / "named").read_text().splitlines()) == 1
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    trust.name_by_hand("model", "others.py:net")
    assert trust.is_named("model", "others.py:net")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("storage", "postgresql+psycopg://them@example.org/lab", "the database"),
        ("workers", "ray://example.org:10001", "the cluster"),
    ],
)
def test_a_strangers_run_names_no_server(
    small_run: Path, tmp_path: Path, changed: Changed, key: str, value: str, said: str
) -> None:
    shutil.copytree(small_run, tmp_path / "run")
    (tmp_path / "run" / "resume").mkdir()
    own = {"space": None, "trials": 4, "epochs": 2, "sampler": "random", "known": True, "study": "s", key: value}
    changed(tmp_path / "run" / "config.json", lambda found: found["request"].update(work="search", own=own))
    with pytest.raises(SettingError, match=f"names {said} .*you have named no such one here"):
        ravine.resume(tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('data = "digits"\nmodel = "evil.py:net"', "--model evil.py:net beside --config"),
        ('data = "digits"\nstorage = "postgresql://example.org/lab"', "--storage postgresql://example.org/lab"),
        ('data = "digits"\nworkers = "ray://example.org:1"', "--workers ray://example.org:1"),
        ('data = "digits"\noverwrite = true', "--overwrite on the command line"),
    ],
)
def test_a_strangers_configuration_names_neither_code_nor_a_server_nor_what_to_delete(
    mark: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    Path("evil.py").write_text(ROOM.format(mark=str(mark)))
    Path("options.toml").write_text(text)
    assert main(["search", "--config", "options.toml"]) == 2
    assert said in capsys.readouterr().err
    assert not mark.exists()


def test_a_configuration_may_name_what_was_named_by_hand() -> None:
    for given, kind, name in (
        ({"model": "nets.py:net"}, "model", "nets.py:net"),
        ({"storage": "postgresql://ann:secret@db/lab"}, "storage", "postgresql://ann@db/lab"),
        ({"workers": "ray://head:10001"}, "workers", "ray://head:10001"),
    ):
        with pytest.raises(SettingError, match="you have named no such one here"):
            options._check_named(Path("o.toml"), given, [])
        options._check_named(Path("o.toml"), given, [f"--{kind}=another"])  # which is taken instead
        trust.name_by_hand(kind, name)  # type: ignore[arg-type]
        options._check_named(Path("o.toml"), given, [])


# --- the source

ALLOWED = {
    "pickle": {"search/messages.py", "search/ray_crew.py", "search/on_ray.py"},  # between processes of one run
    "subprocess": {"engines/compiler.py"},  # the user's own compiler, over text of our own
    "exec_module": {"models/factory.py"},
}
WAITS = {"read_table", "read_parquet"}
"""pyarrow's reader of data sets, and pandas' that takes it: fuzzing found that it may wait for ever on a damaged file."""

NEVER = {"eval", "exec", "compile", "__import__", "system", "popen", "read_pickle", "load_dataset_script"}


def test_nothing_in_the_source_evaluates_or_unpickles_what_it_reads() -> None:
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        name = str(path.relative_to(SOURCE))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                for module in modules:
                    if module.split(".")[0] in (
                        "pickle",
                        "subprocess",
                        "marshal",
                        "shelve",
                        "dill",
                        "cloudpickle",
                        "yaml",
                    ):
                        found.setdefault(module, set()).add(name)
            if isinstance(node, ast.Call):
                called = node.func
                if isinstance(called, ast.Name) and called.id in NEVER:
                    found.setdefault(called.id, set()).add(name)
                if isinstance(called, ast.Attribute) and called.attr == "exec_module":
                    found.setdefault("exec_module", set()).add(name)
                if isinstance(called, ast.Attribute) and called.attr in ("read_pickle", "popen"):
                    found.setdefault(called.attr, set()).add(name)
                if ast.unparse(called) in ("torch.load", "np.load", "numpy.load", "joblib.load", "os.system"):
                    found.setdefault(ast.unparse(called), set()).add(name)
    assert found == ALLOWED


# --- data

GHOSTS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(mark) (w) file closefile\nshowpage\n%%EOF\n"


def test_an_image_is_never_handed_to_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives PostScript to Ghostscript, whatever the file is called."""
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(np.full((4, 4, 3), 20 * i, np.uint8)).save(tmp_path / f"pets/{name}/{i}.png")
    (tmp_path / "pets" / "cat" / "3.png").write_bytes(GHOSTS)
    begun: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given, **_more: begun.append(given))
    with pytest.raises(DataError, match=r"cat/3\.png: the image cannot be read \(not an image Pillow knows\)"):
        ravine.train("mlp", str(tmp_path / "pets"), epochs=1)
    assert begun == []


@pytest.mark.parametrize("kind", ["pandas", "sql", "iceberg", "webdataset", "hdf5"])
def test_of_the_readers_of_datasets_those_that_may_run_something_are_not_used(kind: str) -> None:
    with pytest.raises(DataError, match="which Ravine leaves alone"):
        check_builder("hf:x", f"datasets.packaged_modules.{kind}.{kind}")
    with pytest.raises(DataError, match="which Ravine leaves alone"):
        check_builder("hf:x", "datasets_modules.datasets.x.parquet")
    check_builder("hf:x", "datasets.packaged_modules.parquet.parquet")


# --- studies


def test_a_journal_that_names_a_file_to_delete_is_refused_before_sqlite_deletes_it(tmp_path: Path) -> None:
    """SQLite deletes what a hot journal calls its super-journal. Nothing else about the file is odd."""
    victim, path = tmp_path / "victim", tmp_path / "study.db"
    victim.write_text("precious")
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE studies (x)")
    connection.commit()
    connection.close()
    magic, name = bytes.fromhex("d9d505f920a163d7"), str(victim).encode()
    head = magic + struct.pack(">IIIII", 0, 0, path.stat().st_size // 4096, 512, 4096)
    tail = struct.pack(">I", 2**30 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
    (tmp_path / "study.db-journal").write_bytes(head.ljust(512, b"\0") + tail)
    with pytest.raises(FolderError, match=r"study\.db-journal names a file to delete"):
        check_plain_database(path)
    from ravine.search import Study

    with pytest.raises(FolderError, match="names a file to delete"):
        Study(tmp_path, "classification", 0, ["sgd"], resume=True)
    assert victim.exists()
    sqlite3.connect(path).execute("SELECT * FROM studies").fetchall()  # what would have happened
    assert not victim.exists()


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW trials AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; END",
        "CREATE VIRTUAL TABLE v USING fts5(x)",
    ],
)
def test_a_study_with_more_than_tables_is_refused(tmp_path: Path, sql: str) -> None:
    from ravine.reports.study import read_study

    connection = sqlite3.connect(tmp_path / "study.db")
    connection.execute("CREATE TABLE a (x)")
    connection.execute(sql)
    connection.commit()
    connection.close()
    with pytest.raises(FolderError, match="a study has tables alone"):
        read_study(tmp_path / "study.db")


# --- the compiler


def test_objects_are_not_taken_from_a_folder_that_others_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAVINE_CACHE", str(tmp_path))
    (tmp_path / "rules").mkdir(mode=0o700)
    assert compiler._folder.__wrapped__() == tmp_path / "rules"
    (tmp_path / "rules").chmod(0o777)
    assert compiler._folder.__wrapped__() != tmp_path / "rules"


@pytest.mark.parametrize("text", ['0); system("id"); (', "1e-3", "nan"])
def test_what_is_compiled_holds_no_word_of_a_setting(text: str) -> None:
    """A setting that is no number does not get as far as the printer of C."""
    with pytest.raises(InputError, match="must be a number"):
        Setting(lr=text)  # type: ignore[arg-type]


def test_parquet_is_read_by_the_reader_that_does_not_hang() -> None:
    called = {
        ast.unparse(node.func)
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WAITS
    }
    assert called == set()


def test_a_record_is_json_and_nothing_else(small_run: Path) -> None:
    """Every file of a run is of a format that holds values alone."""
    formats = {".json", ".safetensors", ".parquet", ".html"}
    assert {path.suffix for path in small_run.rglob("*") if path.is_file()} <= formats
    for path in small_run.rglob("*.json"):
        json.loads(path.read_text())
