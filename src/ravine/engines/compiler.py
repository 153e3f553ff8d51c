"""C text -> a function that can be called, kept on disk so that the next process need not compile it.

The compiler is the machine's own (`CC`, else cc, gcc or clang), and OpenMP is the one that torch has loaded
already: a second copy would fight it for the cores. Objects lie in $RAVINE_CACHE, else in the user's cache
folder; they are named by a hash of the text, the compiler's words and the processor, and put in place at once.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from ravine.trust import is_ours_alone

__all__ = ["CompilerError", "load"]

FLAGS = ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-std=c11", "-fPIC"]


class CompilerError(Exception):
    """There is no C compiler here, or it did not do its work; the message says which."""


@functools.cache
def load(text: str, *flags: str) -> ctypes.CDLL:
    """The library that this C text compiles to, with FLAGS and more flags. Raises CompilerError."""
    compiler = [*_compiler(), *FLAGS, *flags]
    key = hashlib.sha256("\0".join([text, *compiler, _processor()]).encode()).hexdigest()[:32]
    place = _folder() / f"{key}.so"
    if place.exists():
        try:
            return ctypes.CDLL(str(place))
        except OSError:
            pass  # cut short or from another system: made again below
    return _build(text, compiler, place)


def _build(text: str, compiler: list[str], place: Path) -> ctypes.CDLL:
    """Compile beside the place and move it there, so that nobody meets half a file."""
    said = ""
    for parallel in (["-fopenmp"], []):
        with tempfile.TemporaryDirectory(dir=place.parent) as room:
            source, halfway, whole = (Path(room) / name for name in ("rule.c", "rule.o", "rule.so"))
            source.write_text(text)
            said = _run([*compiler, *parallel, "-c", str(source), "-o", str(halfway)])
            # Linked without OpenMP: its symbols are those of the copy that torch brought.
            said = said or _run([*compiler, "-shared", str(halfway), "-o", str(whole), "-lm"])
            if said:
                continue
            try:
                library = ctypes.CDLL(str(whole))
            except OSError as refusal:  # no OpenMP is loaded: one thread will do
                said = str(refusal)
                continue
            os.replace(whole, place)
            return library
    raise CompilerError(f"{compiler[0]} could not compile a step: {said.strip().splitlines()[0]}")


def _run(words: list[str]) -> str:
    """What the compiler complained of, or "" when it was content."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as refusal:
        return str(refusal)
    return (done.stderr or f"exit {done.returncode}") if done.returncode else ""


def _compiler() -> list[str]:
    asked = shlex.split(os.environ.get("CC", ""))
    for words in [asked] if asked else [["cc"], ["gcc"], ["clang"]]:
        if path := shutil.which(words[0]):
            return [path, *words[1:]]
    looked = asked[0] if asked else "cc, gcc, clang"
    raise CompilerError(f"no C compiler was found (looked for {looked})")


@functools.cache
def _processor() -> str:
    """What -march=native means here: an object must not meet a processor that lacks its instructions."""
    words = [platform.system(), platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return " ".join(words)
    return " ".join(words + sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


@functools.cache
def _folder() -> Path:
    """Where objects are kept: a folder of this user's alone, for what lies there is run."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("RAVINE_CACHE") or Path(base) / "ravine") / "rules"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK) and is_ours_alone(folder):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="ravine-"))
