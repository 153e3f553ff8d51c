"""A folder has one process at a time, and a dead one holds nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ravine.errors import FolderError
from ravine.recipe.lock import Lock

HOLDER = """
import sys
from pathlib import Path
from ravine.recipe.lock import Lock
held = Lock(Path(sys.argv[1]))
print('held', flush=True)
sys.stdin.read()
"""


def test_a_second_one_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first = Lock(tmp_path)
    with pytest.raises(FolderError, match=rf"in use by another process \({os.getpid()}\): wait until it has ended"):
        Lock(tmp_path)
    first.release()
    first.release()
    assert list(tmp_path.iterdir()) == []
    Lock(tmp_path).release()


def test_a_process_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderError, match=rf"\({holder.pid}\)"):
            Lock(tmp_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / "lock").exists()
    Lock(tmp_path).release()


def test_a_lock_that_was_deleted_while_it_was_waited_for_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening the file and taking it, its holder ends and deletes it: whoever comes then makes another."""
    take, taken = Lock._take, list[Path]()

    def late(self: Lock, folder: Path) -> None:
        if not taken:
            (folder / "lock").unlink()
        taken.append(folder)
        take(self, folder)

    monkeypatch.setattr(Lock, "_take", late)
    held = Lock(tmp_path)
    assert len(taken) == 2
    with pytest.raises(FolderError):
        Lock(tmp_path)
    held.release()


def test_a_lock_that_nobody_holds_any_more_is_let_go(tmp_path: Path) -> None:
    Lock(tmp_path)
    Lock(tmp_path).release()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # where threads run, from Python 3.12 on
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # where another test has loaded JAX
def test_a_fork_does_not_keep_a_folder_locked_that_its_parent_held(tmp_path: Path) -> None:
    held, context = Lock(tmp_path), multiprocessing.get_context("fork")
    begun, end = context.Event(), context.Event()

    def live() -> None:
        begun.set()
        end.wait(20)

    child = context.Process(target=live)
    child.start()
    assert begun.wait(20)
    os.close(held._file)  # as the system does when the parent is killed
    held._file = -1
    try:
        Lock(tmp_path).release()
        assert child.is_alive()
    finally:
        end.set()
        child.join()
