"""The tree of exceptions, and the end of a sentence about a mistyped name."""

from __future__ import annotations

import pytest

from ravine import errors
from ravine.errors import (
    DataError,
    FolderError,
    InputError,
    ModelError,
    RavineError,
    SettingError,
    StorageError,
    nearest,
)


@pytest.mark.parametrize("kind", [DataError, FolderError, ModelError, SettingError, StorageError])
def test_what_was_asked_wrongly_is_an_input_error_and_a_value_error(kind: type[Exception]) -> None:
    with pytest.raises(InputError, match="one line"):
        raise kind("one line")
    assert issubclass(kind, ValueError)
    assert issubclass(kind, RavineError)


def test_the_drawing_of_the_tree_names_every_exception() -> None:
    kinds = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(kinds) == 10
    assert all(name in errors.__doc__ for name in kinds)
    assert set(kinds) | {"first_line", "nearest", "printable"} == set(errors.__all__)


def test_the_nearest_known_names_are_offered() -> None:
    assert nearest("adm", ["sgd", "adam", "adamw"]) == "did you mean adam or adamw?"


def test_a_name_like_no_other_is_answered_with_all_of_a_short_list() -> None:
    assert nearest("zzz", ["sgd", "adam"]) == "known: adam, sgd"


def test_a_long_list_is_cut_at_twenty_names() -> None:
    said = nearest("zzz", [f"column{i:03}" for i in range(100)])
    assert said.endswith("column019, ...")


def test_names_may_come_from_a_generator() -> None:
    assert nearest("sdg", (name for name in ("sgd", "adam"))) == "did you mean sgd?"
