"""The house keeps its order: a folder imports only from those above it, and every door is labelled.

Read as syntax trees, so imports inside functions and under TYPE_CHECKING count too.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "ravine"

ORDER = [
    "notebook",  # small HTML; it knows nothing of the others
    "rules",
    "schedules",
    "regularization",
    "engines",
    "landscapes",
    "data",
    "models",
    "training",
    "curvature",
    "search",
    "diagnosis",
    "recipe",
    "reports",
    "integrations",  # of other trainers: Lightning, Hugging Face
    "api",  # the calls behind the commands
    "sklearn",
    "cli",
]
SHARED = {"types", "errors", "limits", "randomness", "launched", "trust"}  # importable by all
DOORS = {"__init__", "__main__", "optim"}  # public names: they may import anything, and nothing imports them

MODULES = sorted(SOURCE.rglob("*.py"))


def module_name(path: Path) -> str:
    """`ravine.rules.adam` of src/ravine/rules/adam.py, `ravine.rules` of its __init__.py."""
    parts = ["ravine", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.Module, path: Path) -> Iterator[str]:
    """What a module imports of ravine, in full: `from ravine import rules` is ravine.rules."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "ravine")
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            if base.split(".")[0] == "ravine":
                yield from (f"{base}.{alias.name}" for alias in node.names)


def out_of_order(text: str, path: Path) -> list[str]:
    """The imports of this module that its place in the house does not allow."""
    place = path.relative_to(SOURCE).with_suffix("").parts[0]
    if place in DOORS:
        return []
    allowed = set(SHARED)
    if place not in SHARED:
        allowed |= set(ORDER[: ORDER.index(place) + 1])
    reached = imported(ast.parse(text), path)
    return [name for name in reached if len(name.split(".")) < 2 or name.split(".")[1] not in allowed]


def test_every_folder_and_module_of_the_top_has_its_place() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(ORDER)
    assert {path.stem for path in SOURCE.glob("*.py")} <= {*SHARED, *DOORS, *ORDER}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_imports_only_from_folders_above_its_own(path: Path) -> None:
    assert out_of_order(path.read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("folder", "line", "found"),
    [
        ("rules", "from ravine.engines.torch_face import RuleOptimizer", ["ravine.engines.torch_face.RuleOptimizer"]),
        ("rules", "def f():\n    import ravine.cli", ["ravine.cli"]),
        ("rules", "from ravine import schedules", ["ravine.schedules"]),
        ("rules", "from ..engines import packing", ["ravine.engines.packing"]),
        ("rules", "from .. import data", ["ravine.data"]),
        (".", "from ravine.cli import main", ["ravine.cli.main"]),
        ("cli", "import ravine", ["ravine"]),
        ("cli", "from ravine import tune", ["ravine.tune"]),
        ("cli", "from ravine import rules, optim", ["ravine.optim"]),
        ("engines", "from ravine.rules import Rule\nfrom . import packing\nfrom ravine.errors import DataError", []),
        ("engines", "import torch\nfrom torch import optim\nfrom ravine import types", []),
    ],
)
def test_an_import_from_below_is_found_however_it_is_written(folder: str, line: str, found: list[str]) -> None:
    assert out_of_order(line, SOURCE / folder / "types.py") == found


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_opens_with_what_it_holds(path: Path) -> None:
    assert (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_every_name_in_all_exists_once(path: Path) -> None:
    if path.stem == "__main__":
        return  # importing it would run it
    module = importlib.import_module(module_name(path))
    names = list(getattr(module, "__all__", []))
    assert [name for name in names if not hasattr(module, name)] == []
    assert len(set(names)) == len(names)
