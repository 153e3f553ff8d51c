"""The run folder: made once, never over something else, and complete."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from ravine.data import Data
from ravine.errors import FolderError
from ravine.recipe.folder import Folder, train_command
from ravine.recipe.session import Session
from ravine.recipe.verdict import Verdict
from ravine.training import History, Setting

Sit = Callable[..., Session]


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    assert Folder.create(tmp_path / "a" / "b").path == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


def test_an_empty_folder_may_stand_there(tmp_path: Path) -> None:
    assert Folder.create(tmp_path).path == tmp_path


def test_a_folder_that_exists_is_refused_and_overwrite_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FolderError, match="exists already: write --overwrite"):
        Folder.create(tmp_path)
    assert (tmp_path / "config.json").read_text() == "{}"


def test_overwrite_empties_a_run_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "best").mkdir()
    folder = Folder.create(tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "resume"]
    folder.close()
    assert [path.name for path in tmp_path.iterdir()] == ["resume"]


def test_a_folder_whose_run_was_killed_before_it_had_a_configuration_is_free(tmp_path: Path) -> None:
    Folder.create(tmp_path)
    (tmp_path / ".config.json.7.partial").write_text("{")
    assert Folder.create(tmp_path).path == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "resume"]


def test_a_run_that_can_be_gone_on_with_is_named_so(tmp_path: Path) -> None:
    Folder.create(tmp_path / "my run").record("config.json", {})
    with pytest.raises(FolderError, match=r"write ravine resume '.*my run' to go on with it, --overwrite"):
        Folder.create(tmp_path / "my run")


def test_opening_again_takes_away_what_was_half_written_and_nothing_else(tmp_path: Path) -> None:
    Folder.create(tmp_path).record("config.json", {})
    half, whole = tmp_path / "history" / ".steps.parquet.7.partial", tmp_path / "history" / "steps.parquet"
    half.parent.mkdir()
    half.write_text("half")
    whole.write_text("whole")
    folder = Folder.reopen(tmp_path)
    assert (half.exists(), whole.exists(), folder.finished) == (False, True, False)
    folder.close()
    with pytest.raises(FolderError, match="so no run was begun there"):
        Folder.reopen(tmp_path / "history")


def test_overwrite_does_not_empty_a_folder_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(FolderError, match=r"a folder without a config\.json, not a run folder"):
        Folder.create(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years"


def test_overwrite_does_not_delete_a_file(tmp_path: Path) -> None:
    file = tmp_path / "thesis.tex"
    file.write_text("years")
    with pytest.raises(FolderError, match="is a file"):
        Folder.create(file, overwrite=True)
    assert file.read_text() == "years"


def test_overwrite_does_not_follow_a_link_out_of_its_place(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(FolderError, match="link"):
        Folder.create(tmp_path / "link", overwrite=True)
    assert (tmp_path / "run" / "config.json").exists()


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="cannot write"):
        Folder.create(tmp_path / "file" / "run")


def test_the_configuration_says_what_on_what_and_with_which_versions(
    three_classes: Data, sit: Sit, tmp_path: Path
) -> None:
    session = sit(three_classes)
    Folder.create(tmp_path).config(session, budget_s=60.0, command="ravine tune")
    record = json.loads((tmp_path / "config.json").read_text())
    assert {"ravine", "created", "data", "model", "seed", "batch_size", "device", "threads", "versions"} < set(record)
    assert (record["budget_s"], record["command"], record["seed"]) == (60.0, "ravine tune", 0)
    assert record["data"]["fingerprint"] == three_classes.fingerprint
    assert record["data"]["sizes"] == {"train": len(three_classes.train), "validation": 32, "test": 40}
    assert (record["data"]["task"], record["data"]["outputs"]) == ("classification", 3)
    assert record["data"]["classes"] == list(three_classes.classes)
    assert record["model"] == {"name": "own", "settings": {"hidden": [16]}, "parameters": session.parameters}
    assert {"python", "torch", "numpy", "optuna"} <= set(record["versions"])


def test_verdicts_are_numbered_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path)
    for step in ("refine", "initial-loss"):
        folder.verdict(Verdict(step, "pass", "", {}))
    assert sorted(p.name for p in (tmp_path / "steps").iterdir()) == ["1-initial-loss.json", "5-refine.json"]


def test_a_folder_that_is_nowhere_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, three_classes: Data, sit: Sit
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Folder.create(None)
    folder.config(sit(three_classes))
    folder.verdict(Verdict("refine", "pass", "", {}))
    folder.history(History())
    folder.record("result.json", {})
    assert list(tmp_path.iterdir()) == []


def test_the_command_to_paste_quotes_what_a_shell_would_read(three_classes: Data, sit: Sit) -> None:
    chosen = Setting("sgd", lr=0.012345678, momentum=0.9, seed=3, order=0)
    source = {"target": "price; rm -rf ~", "task": None, "test": None, "categorical": None}
    words = shlex.split(train_command(three_classes, sit(three_classes).model, chosen, epochs=12, source=source))
    assert words[:2] == ["ravine", "train"]
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert given["--target"] == "price; rm -rf ~"
    assert given["--set"] == "hidden=16"
    assert (given["--optimizer"], given["--momentum"], given["--epochs"]) == ("sgd", "0.9", "12")
    assert (given["--seed"], given["--order"]) == ("3", "0")
    assert float(given["--lr"]) == pytest.approx(0.012345678, rel=1e-5)
    assert "--task" not in given
    assert "--dropout" not in given


def test_the_command_says_what_regularizes_and_a_flag_stands_alone(three_classes: Data, sit: Sit) -> None:
    chosen = Setting(l1=1e-5, proximal=True, mixup=0.2, max_norm=3.0)
    source = {"ensemble": "snapshots", "size": 4, "average": None}
    command = train_command(three_classes, sit(three_classes).model, chosen, epochs=12, source=source)
    assert "--l1 1e-05 --proximal --max-norm 3 --mixup 0.2" in command
    assert "--ensemble snapshots --size 4" in command
    assert "--average" not in command
    assert "--cutmix" not in command
