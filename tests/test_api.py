"""The Python functions: what they refuse before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import ravine
from ravine.errors import SettingError

CALLS: dict[str, Callable[..., object]] = {
    "tune": lambda **more: ravine.tune("mlp", "digits", **more),
    "check": lambda **more: ravine.check("mlp", "digits", **more),
    "lr_range": lambda **more: ravine.lr_range("mlp", "digits", **more),
    "train": lambda **more: ravine.train("mlp", "digits", **more),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_keyword_that_no_run_takes_is_refused_with_the_nearest(call: Callable[..., object], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="'budgt' is no option; did you mean budget"):
        call(budgt="5s", out=tmp_path / "run")
    with pytest.raises(SettingError, match=r"'dropout' is a setting of one trial; write setting=\{'dropout': \.\.\.\}"):
        call(dropout=0.1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
