"""The thread count inside a block, and afterwards as it was."""

from __future__ import annotations

import pytest
import torch

from ravine.engines.threads import threads


@pytest.mark.parametrize("count", [1, 2])
def test_the_count_holds_inside_and_is_put_back_afterwards(count: int) -> None:
    before = torch.get_num_threads()
    with threads(count):
        assert torch.get_num_threads() == count
    assert torch.get_num_threads() == before


def test_none_changes_nothing() -> None:
    with threads(2), threads(None):
        assert torch.get_num_threads() == 2


def test_the_count_is_put_back_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before
