"""The sides of a tensor: which have a matrix, what it holds, and how it is applied."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ravine.rules.sides import along_side, eigh, gram, pack, short_sides, unpack, wide_dtype


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("shape", "sides"), [((), []), ((3,), []), ((3, 4), [0]), ((4, 3, 1), [1, 2]), ((4, 5), [])], ids=str
)
def test_short_sides_of_matrices_and_larger_count_and_no_side_of_a_vector(
    shape: tuple[int, ...], sides: list[int]
) -> None:
    assert short_sides(torch.zeros(shape), 3) == sides


def test_the_gram_matrix_of_rows_is_g_gt_and_of_columns_gt_g() -> None:
    g = draw(3, 4)
    torch.testing.assert_close(gram(g, 0), g @ g.T)
    torch.testing.assert_close(gram(g, 1), g.T @ g)


def test_the_gram_matrix_of_a_side_sums_over_all_others() -> None:
    g = draw(2, 3, 4)
    torch.testing.assert_close(gram(g, 1), torch.einsum("aib,ajb->ij", g, g))


def test_a_matrix_is_applied_to_every_vector_along_its_side() -> None:
    g, m = draw(2, 3, 4), draw(3, 3, seed=1)
    torch.testing.assert_close(along_side(g, m, 1), torch.einsum("ij,ajb->aib", m, g))


def test_packed_matrices_come_back() -> None:
    tensor, matrices = torch.zeros(2, 5, 3), [draw(2, 2), draw(3, 3, seed=1)]
    back = unpack(pack(matrices), tensor, [0, 2])
    assert all(torch.equal(a, b) for a, b in zip(back, matrices, strict=True))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_matrix_that_is_not_finite_spoils_no_other_of_its_batch(bad: float) -> None:
    batch = torch.stack([gram(draw(3, 4, seed=s), 0) for s in range(3)])
    broken = batch.clone()
    broken[1, 0, 0] = bad
    for well, ill in zip(torch.func.vmap(eigh)(batch), torch.func.vmap(eigh)(broken), strict=True):
        assert torch.equal(ill[[0, 2]], well[[0, 2]])
        assert ill[1].isnan().all()


def test_matrices_of_bfloat16_parameters_are_float32() -> None:
    assert wide_dtype(torch.zeros(1, dtype=torch.bfloat16)) == torch.float32
    assert wide_dtype(torch.zeros(1, dtype=torch.float64)) == torch.float64
