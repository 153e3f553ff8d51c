"""Writes the pages of the reference, one for each public package, and knows which public names say nothing of themselves.

A package is public when it has names in `__all__`; so is a module that stands beside the packages. What each
name is, mkdocstrings reads from the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import griffe

from docstrings import ReadableDocstrings

__all__ = ["modules", "names", "pages", "path_of", "undocumented"]

SOURCE = Path(__file__).resolve().parents[1] / "src"
WITHIN = {"api", "cli", "launched"}
"""What is reached by other names: `ravine.tune` and its sisters, and the command line, which has a page of its own."""


def pages() -> dict[str, str]:
    """Every page by its place under docs/."""
    found = {f"reference/{_file(module.path)}.md": page(module) for module in modules()}
    lines = [f"- [`{module.path}`]({_file(module.path)}.md): {_first(module)}" for module in modules()]
    return {"reference/index.md": INDEX + "\n".join(lines) + "\n", **found}


INDEX = """# Reference

Every public name, from its docstring. A name is public when it is in its package's `__all__`; everything else may change. Shapes are
written `[K, d]`, with the letters explained at the top of each file. [The command line](command-line.md) has a page of its own.

"""


def page(module: griffe.Module) -> str:
    """One package as Markdown: what it says of itself, then its names, each for mkdocstrings to fill in."""
    said = module.docstring.value if module.docstring else ""
    directives = [f"::: {path_of(module, name)}" for name in names(module)]
    return "\n\n".join([f"# {module.path}", said, *directives]) + "\n"


@cache
def modules() -> tuple[griffe.Module, ...]:
    """Every public package and module, the top first."""
    loader = griffe.GriffeLoader(search_paths=[SOURCE], extensions=griffe.load_extensions(ReadableDocstrings))
    top = loader.load("ravine")
    loader.resolve_aliases(implicit=False, external=False)
    assert isinstance(top, griffe.Module)
    return tuple(_public(top))


def _public(module: griffe.Module) -> Iterator[griffe.Module]:
    if module.exports:
        yield module
    for name, inner in sorted(module.members.items()):
        if isinstance(inner, griffe.Module) and (inner.is_init_module or module.is_package) and name not in WITHIN:
            yield from _public(inner)


def names(module: griffe.Module) -> list[str]:
    """The names in `__all__`, in order."""
    return sorted({str(name) for name in module.exports or ()}, key=lambda name: (name.upper() != name, name.lower()))


def path_of(module: griffe.Module, name: str) -> str:
    """Where a name is found. A function that shares its name with the module it comes from stands behind that module."""
    if isinstance(module.members.get(name), griffe.Module):
        return module.imports.get(name, f"{module.path}.{name}")
    return f"{module.path}.{name}"


def undocumented() -> Iterator[str]:
    """Public names without a docstring, or that the source has nowhere."""
    for module in modules():
        for name in names(module):
            if not _documented(path_of(module, name)):
                yield f"{module.path}.{name}"


def _documented(path: str) -> bool:
    try:
        found = modules()[0][path.removeprefix("ravine.")]
    except KeyError:
        return False
    return bool(found.final_target.docstring if isinstance(found, griffe.Alias) else found.docstring)


def _file(path: str) -> str:
    return path.removeprefix("ravine.") if path != "ravine" else "ravine"


def _first(module: griffe.Module) -> str:
    return (module.docstring.value if module.docstring else "").split("\n\n")[0].replace("\n", " ")
