"""Writes docs/rules.md from the docstrings of the rules and the figures of benchmarks/results/optimizers.txt.

python docs/rules_table.py
"""

from __future__ import annotations

import re
from pathlib import Path

import torch

from ravine import optim
from ravine.rules import METHODS, RULES

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "benchmarks" / "results" / "optimizers.txt"
HEAD = """# Update rules

Every rule of `ravine.rules`, under its name in `ravine.optim`. `RULES` are steps from gradients, which a population of
trials can share; `METHODS` ask for losses themselves. This page is written by `docs/rules_table.py` from the docstrings.

The torch twin takes the same arguments, walks the same path and shares saved states. Speed: the time of a step of torch's
default over ours, and of torch's fused kernel over ours where it has one: 20 million float32 parameters in 50 tensors on
2 CPU cores, median (lowest-highest) of the rounds in `benchmarks/results/optimizers.txt`.

| rule | one step | source | memory | torch twin | speed |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The whole page as Markdown."""
    speeds = measured(RESULTS.read_text()) if RESULTS.exists() else {}
    return HEAD + "".join(row(kind, speeds.get(kind.__name__, "")) for kind in [*RULES.values(), *METHODS.values()])


def row(kind: type, speed: str) -> str:
    """One line of the table."""
    text = kind.__doc__ or ""
    name = kind.__name__
    twin = f"`torch.optim.{name}`" if hasattr(torch.optim, name) and hasattr(optim, name) else ""
    cells = [f"`{name}`", formula(text), said(text, "Source:"), said(text, "Memory:"), twin, speed]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def formula(text: str) -> str:
    """The indented block of the docstring: each line in the order computed."""
    lines = [line.strip() for line in text.splitlines() if line.startswith(" " * 8) and line.strip()]
    return "<br>".join(f"`{re.sub(' +', ' ', line)}`" for line in lines)


def said(text: str, label: str) -> str:
    """The first sentence of the paragraph that begins with a label."""
    found = re.search(rf"{label} (.+?)(?:(?<!\bal)\.\s|\.$|\n\n|\Z)", text, re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def measured(results: str) -> dict[str, str]:
    """Ratios by the rule's name from the benchmark's lines for 50 tensors."""
    found = {}
    ordinary = results.split("\n\n")[0]  # the second half was measured with freed memory kept
    for line in ordinary.splitlines():
        cells = [cell.split() for cell in line.split("|")]
        if len(cells) == 6 and cells[0] and cells[0][1:] == ["50"]:
            words = [f"{cell[1]} {cell[2]}" for cell in (cells[2], cells[4]) if len(cell) == 3]
            found[cells[0][0]] = ", fused ".join(words)
    return found


def main() -> None:
    (HERE / "rules.md").write_text(page())


if __name__ == "__main__":
    main()
