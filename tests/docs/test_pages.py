"""The pages that come from the code say all that the code says, and no public name is left out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ravine.landscapes import SURFACES
from ravine.rules import METHODS, RULES
from ravine.schedules import SCHEDULES

from .conftest import failures


def test_every_rule_has_a_page_with_its_formula_source_memory_and_every_hyper_parameter() -> None:
    from fields import rows
    from rule_pages import pages

    written = pages()
    kinds = {**RULES, **METHODS}
    assert set(written) == {f"rules/{name}.md" for name in kinds}
    for name, kind in kinds.items():
        page = written[f"rules/{name}.md"]
        assert "```text\n" in page, name
        assert "**Source:** " in page, name
        assert "**Memory:** " in page, name
        assert "<svg" in page, name
        assert [field for field, _, _ in rows(kind)] == [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
        assert all(f"| `{field}` | `{default}` |" in page for field, default, _ in rows(kind)), name


def test_every_schedule_has_a_page_with_its_shape_and_what_each_number_means() -> None:
    from fields import rows
    from schedule_pages import pages

    written = pages()
    assert set(written) == {f"schedules/{name}.md" for name in [*SCHEDULES, "warmup"]}
    for name, make in SCHEDULES.items():
        assert 'class="curve"' in written[f"schedules/{name}.md"], name
        assert all(said for _, _, said in rows(type(make()))), name


def test_every_surface_has_a_page_with_paths_and_what_is_known_of_it() -> None:
    from surface_pages import pages

    written = pages()
    assert set(written) == {f"surfaces/{name}.md" for name in SURFACES}
    for name, page in written.items():
        assert page.count("<polyline") == 3, name
        assert "Least value" in page or "no minimum" in page, name


def test_the_page_of_the_command_line_has_every_command_and_option() -> None:
    from command_pages import commands, page

    text = page()
    for name, command in commands().items():
        part = text.split(f"## ravine {name}\n")[1].split("\n## ")[0]
        options = [
            word
            for parameter in command.params
            for word in parameter.opts
            if word.startswith("--") and word != "--help"
        ]
        assert [word for word in options if f"`{word}`" not in part] == []


def test_every_public_name_says_what_it_is() -> None:
    import command_pages
    import reference_pages

    assert list(reference_pages.undocumented()) == []
    assert list(command_pages.undocumented()) == []
    assert sum(len(reference_pages.names(module)) for module in reference_pages.modules()) > 350


def test_a_function_that_has_the_name_of_its_module_is_shown_and_not_the_module() -> None:
    import reference_pages

    pages = reference_pages.pages()
    assert "::: ravine.rules.minimize.minimize\n" in pages["reference/rules.md"]
    assert "::: ravine.diagnosis.diagnose.diagnose\n" in pages["reference/diagnosis.md"]


def test_a_public_name_without_a_docstring_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import reference_pages

    module = next(module for module in reference_pages.modules() if module.path == "ravine.rules")
    monkeypatch.setattr(module.members["Lion"].final_target, "docstring", None)
    assert list(reference_pages.undocumented()) == ["ravine.rules.Lion"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Half.\n\n    y = x / 2\n", "Half.\n\n```text\ny = x / 2\n```"),
        ("One.\n\nx: a number.\ny: another, 2 * x.", "One.\n\n- `x`: a number.\n- `y`: another, 2 \\* x."),
        (">>> f(1)\n2", "```pycon\n>>> f(1)\n2\n```"),
        ("Source: Polyak 1964,\nas in `torch`.", "**Source:** Polyak 1964, as in `torch`."),
        ("It uses the identity\nalone: that is all.", "It uses the identity alone: that is all."),
        ("In [0, 1), not <b>.", "In \\[0, 1), not \\<b\\>."),
    ],
)
def test_a_docstring_becomes_markdown(text: str, shown: str) -> None:
    from docstrings import to_markdown

    assert to_markdown(text) == shown


def test_parameters_that_share_a_line_are_told_apart() -> None:
    from docstrings import to_markdown

    text = "Half.\n\nx: a number. y, z: others. note: this is none."
    assert to_markdown(text, ["x", "y", "z"]) == "Half.\n\n- `x`: a number.\n- `y`, `z`: others. note: this is none."


@pytest.mark.parametrize("writer", ["rule_pages", "schedule_pages", "surface_pages"])
def test_the_examples_of_generated_pages_run(writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    monkeypatch.chdir(tmp_path)
    for name, page in import_module(writer).pages().items():
        assert failures(page) == [], name
