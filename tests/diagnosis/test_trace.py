"""What a watched training is worth, in figures that a check may compare."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ravine.diagnosis import Case
from ravine.diagnosis.trace import score


def case(loss: object, y: Tensor) -> Case:
    x = torch.zeros(len(y), 1)
    return Case(nn.Identity, x, y, x, y, loss=loss, rule="adam", lr=1e-3, batch_size=4, epochs=1)  # type: ignore[arg-type]


def test_a_loss_that_takes_a_mean_and_a_variance_is_scored_by_the_mean() -> None:
    y = torch.linspace(-1, 1, 20)
    both = torch.stack([torch.full_like(y, 7.0), y + 0.01], dim=1)
    found = score(case(lambda out, _: out.mean(), y), both, y)
    assert 0.99 < found.skill < 1


def test_rows_of_one_class_show_no_skill_and_no_abyss() -> None:
    y = torch.zeros(10, dtype=torch.int64)
    wrong, right = torch.tensor([[0.0, 1.0]]).expand(10, 2), torch.tensor([[1.0, 0.0]]).expand(10, 2)
    both = case("cross_entropy", torch.tensor([0, 1]))
    assert score(both, right, y).skill == 0
    assert -100 < score(both, wrong, y).skill < 0
