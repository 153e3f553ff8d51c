"""Give one reader to atheris: `python fuzz/run.py tables --seconds 600`. Says how many inputs were run and how it ended.

What libFuzzer keeps lies in fuzz/corpus/TARGET, a crash in fuzz/crashes/TARGET-*; both are left out of the repository. Each
crash becomes a line of `tests/hostile/test_found_by_fuzzing.py`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

LOOKED_INTO = ("ravine", "simpleeval", "tomllib")
"""Packages whose branches guide the fuzzer."""

with atheris.instrument_imports(include=list(LOOKED_INTO), enable_loader_override=False):
    for each in ("ravine.api", "ravine.cli", "ravine.reports", "ravine.landscapes", "ravine.data.image_sets"):
        importlib.import_module(each)
    targets = importlib.import_module("tests.hostile.targets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(targets.TARGETS))
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--longest", type=int, default=4096, help="bytes of an input")
    asked = parser.parse_args()
    corpus, crashes = HERE / "corpus" / asked.target, HERE / "crashes"
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.SEEDS[asked.target]()):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={asked.seconds}",
        f"-max_len={asked.longest}",
        "-timeout=30",  # seconds for one input: longer is a hang
        "-rss_limit_mb=4096",
        f"-artifact_prefix={crashes}/{asked.target}-",
        "-print_final_stats=1",
    ]
    atheris.Setup(words, targets.TARGETS[asked.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
