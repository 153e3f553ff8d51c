"""The contract's two helpers: the door from float64 to the parameters, and the check of a range."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch

from ravine.errors import SettingError
from ravine.rules.rule import check_range, narrow
from ravine.types import Hyper


class Numbers(NamedTuple):
    rate: Hyper
    decay: Hyper


@pytest.mark.parametrize(
    ("dtype", "real"),
    [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16), (torch.complex64, torch.float32)],
)
def test_narrow_casts_tensors_to_the_parameters_real_dtype_and_leaves_floats(
    dtype: torch.dtype, real: torch.dtype
) -> None:
    by = narrow(Numbers(torch.ones(3, 1, dtype=torch.float64), 0.1), torch.zeros(3, 2, dtype=dtype))
    assert type(by) is Numbers
    assert by.rate.dtype == real
    assert by.decay == 0.1


@pytest.mark.parametrize("value", [0.0, 0, 0.5, 1 - 1e-12, np.float32(0.5), torch.tensor([[0.0], [0.999]])], ids=str)
def test_values_in_the_range_pass(value: object) -> None:
    check_range("Rule", "share", value, 0.0, 1.0)


@pytest.mark.parametrize("value", [1.0, -1e-60, float("nan"), "0.5", None, torch.tensor([0.5, 1.0])], ids=str)
def test_values_outside_are_refused_with_their_name_and_the_range(value: object) -> None:
    with pytest.raises(SettingError, match=r"Rule\.share is .*; it must lie in \[0, 1\)\."):
        check_range("Rule", "share", value, 0.0, 1.0)


def test_a_closed_range_holds_its_end() -> None:
    check_range("Rule", "share", 1.0, 0.0, 1.0, closed=True)
    with pytest.raises(SettingError, match=r"\[0, 1\]\."):
        check_range("Rule", "share", 1.0 + 1e-12, 0.0, 1.0, closed=True)
