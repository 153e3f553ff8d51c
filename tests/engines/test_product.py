"""The product of matrices in C against torch's in float64.

Letters in shapes: M rows, N columns, D depth.
"""

from __future__ import annotations

import ctypes

import pytest
import torch

from ravine.engines.compiler import load
from ravine.engines.product import PRODUCT, panel_room

ENTRY = """\
#include <stdint.h>
#include <string.h>
{product}
void multiplied(int64_t m, int64_t n, int64_t depth, const float *a, const float *b, float *c, float *panel)
{{
    product(m, n, depth, a, depth, b, n, c, panel);
}}
void turned(int64_t m, int64_t n, const float *a, float *to) {{ transpose(m, n, a, n, to); }}
"""

SIZES = [(1, 1, 1), (8, 32, 5), (10, 10, 32), (15, 33, 7), (64, 784, 32), (3, 49, 100), (33, 16, 17)]


def call(name: str, *values: object) -> None:
    where = [ctypes.c_void_p(v.data_ptr()) if isinstance(v, torch.Tensor) else ctypes.c_int64(v) for v in values]
    getattr(load(ENTRY.format(product=PRODUCT), "-ffp-contract=fast"), name)(*where)


@pytest.mark.parametrize(("m", "n", "depth"), SIZES)
def test_a_product_is_that_of_float64_to_rounding_and_writes_nowhere_else(m: int, n: int, depth: int) -> None:
    draw = torch.Generator().manual_seed(m * n)
    a, b = torch.randn(m, depth, generator=draw), torch.randn(depth, n, generator=draw)
    found = torch.full((m * n + 8,), 7.0)
    call("multiplied", m, n, depth, a, b, found, torch.empty(panel_room(depth), dtype=torch.uint8))
    torch.testing.assert_close(found[: m * n].view(m, n).double(), a.double() @ b.double(), rtol=1e-5, atol=1e-5)
    assert (found[m * n :] == 7).all()


@pytest.mark.parametrize(("m", "n"), [(16, 16), (32, 48), (17, 33), (1, 9), (128, 10)])
def test_rows_become_columns(m: int, n: int) -> None:
    a, found = torch.arange(m * n, dtype=torch.float32).view(m, n), torch.full((m * n + 8,), 7.0)
    call("turned", m, n, a, found)
    assert torch.equal(found[: m * n].view(n, m), a.t())
    assert (found[m * n :] == 7).all()


def test_infinities_and_nan_stay_in_their_row() -> None:
    a = torch.ones(9, 4)
    a[2, 1], a[5, 0] = torch.nan, torch.inf
    found = torch.empty(9, 20)
    call("multiplied", 9, 20, 4, a, torch.ones(4, 20), found, torch.empty(panel_room(4), dtype=torch.uint8))
    assert found[2].isnan().all()
    assert found[5].isinf().all()
    assert (found[[0, 1, 3, 4, 6, 7, 8]] == 4).all()
