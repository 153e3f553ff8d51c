"""A notebook executed by a real kernel: cards in place of long texts, and progress that does not flood a cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

CELLS = (
    "import ravine, torch; from ravine.schedules import Cosine, Warmup",
    "Warmup(Cosine())",
    "x = torch.randn(200, 4); y = (x[:, 0] > 0).long()\nresult = ravine.check('mlp', (x, y), budget='4s')\nresult",
    "ravine.Result([], None, None, 0, 0.0, None, findings=[ravine.Finding('<b>', 0.9, {}, '<script>', 'Do it.')])",
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_results_are_cards_and_progress_stays_in_one_place(tmp_path: Path) -> None:
    os.environ.setdefault("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python"}
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs: list[list[Any]] = [cell.outputs for cell in notebook.cells]
    assert "<svg" in outputs[1][0].data["text/html"]

    progress, shown = (out for out in outputs[2] if out.output_type != "stream")  # warnings of other libraries
    assert "overfit" in progress.data["text/html"]
    assert "progressbar" not in progress.data["text/html"]
    assert not any(out.get("name") == "stdout" for out in outputs[2])  # no line for every step
    assert "initial-loss" in shown.data["text/html"]

    assert "&lt;script&gt;" in outputs[3][0].data["text/html"]
    assert "<script" not in outputs[3][0].data["text/html"]
