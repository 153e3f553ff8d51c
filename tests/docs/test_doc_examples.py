"""Every example of the pages runs as it stands, in an empty folder, and prints what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import DOCS, ROOT, failures

WRITTEN = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("name", [name for name in WRITTEN if "```python" in (DOCS / name).read_text(encoding="utf-8")])
def test_a_pages_examples_print_what_it_shows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert failures((DOCS / name).read_text(encoding="utf-8")) == []


def test_every_page_that_teaches_has_an_example() -> None:
    taught = [
        name
        for name in WRITTEN
        if name.startswith(("recipe/", "choosing/")) or name in ("index.md", "adding-a-rule.md")
    ]
    without = [name for name in taught if "```text\n" not in (DOCS / name).read_text(encoding="utf-8")]
    assert len(taught) >= 12
    assert without == []


def test_a_page_whose_example_prints_something_else_is_found() -> None:
    page = "```python\nprint('a', 2.0)\n```\n\n```text\na 2.05\n```\n"
    assert failures(page) == []
    assert "prints 2.0" in failures(page.replace("2.05", "2.5"))[0]
    assert "it prints" in failures(page.replace("a 2.05", "b 2.05"))[0]
    assert failures(page.replace("a 2.05", "...")) == []
    assert failures(page.replace("\n\n```text\na 2.05", "\n\n<!-- numbers to 40 % -->\n\n```text\na 2.5")) == []


def test_a_command_of_a_page_must_end_as_the_page_says() -> None:
    with pytest.raises(RuntimeError, match="ended with status 2"):
        failures("```console\n$ ravine train --data nowhere.csv\n```\n")
    assert failures("```console\n$ ravine train --data nowhere.csv  # exit status 2\n```\n") == []


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the README speaks of: a table of flowers, and a run of it."""
    import pandas as pd
    from sklearn.datasets import load_iris

    import ravine

    place = tmp_path_factory.mktemp("readme")
    table = load_iris(as_frame=True).frame[["petal length (cm)", "sepal length (cm)", "target"]]
    table.columns = pd.Index(["petal", "sepal", "species"])
    table = table.assign(species=table["species"].map({0: "a", 1: "b", 2: "c"}), colour=["red", "blue"] * 75)
    table.to_csv(place / "flowers.csv", index=False)
    table.drop(columns="species").to_csv(place / "new_flowers.csv", index=False)
    ravine.train("mlp", str(place / "flowers.csv"), target="species", epochs=2, out=place / "runs" / "flowers")
    return place


def test_the_python_of_the_readme_runs(flowers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from torch import nn
    from torch.nn import functional as F

    import ravine
    from examples import examples

    monkeypatch.chdir(flowers)
    blocks = [
        one.code for one in examples((ROOT / "README.md").read_text(encoding="utf-8")) if one.language == "python"
    ]
    assert len(blocks) >= 5
    x, y = torch.randn(96, 4), torch.arange(96) % 3
    for code in blocks:
        model = nn.Linear(4, 3)
        given = {"ravine": ravine, "model": model, "x": x, "y": y, "make_model": lambda: nn.Linear(4, 3)}
        given |= {"optimizer": torch.optim.SGD(model.parameters(), 0.1), "loss": F.cross_entropy(model(x), y)}
        exec(compile(code, "README.md", "exec"), given)  # noqa: S102 - our own page
