"""Models that look tokens up: whole numbers go into a population as they are.

The data of `ravine.data` are numbers with a size, so a person with tokens trains a `Population` in a loop of his own.

Letters in shapes: K trials, B batch, L length, V vocabulary.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.engines import Engine, Population
from ravine.randomness import seeded
from ravine.rules import AdamW

K, B, L, V = 3, 16, 5, 11
RATES = [0.01, 0.02, 0.03]


class Bag(nn.Module):
    """The mean of the tokens' vectors, then two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors, self.last = nn.Embedding(V, 6, padding_idx=0), nn.Linear(6, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.last(self.vectors(tokens).mean(-2))  # type: ignore[no-any-return]


def bag(seed: int) -> nn.Module:
    with seeded(seed, "test"):
        return Bag()


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Tokens int64 [B, L]; the class is whether more of them are in 6 to 10 than in 1 to 5; 0 says nothing."""
    tokens = torch.randint(V, (B, L), generator=torch.Generator().manual_seed(step))
    return tokens, ((tokens > 5).sum(1) > ((tokens > 0) & (tokens < 6)).sum(1)).long()


def trained(trials: list[int], engine: Engine, steps: int) -> Population:
    rules = [AdamW(weight_decay=0.1 * k) for k in trials]
    population = Population([bag(k) for k in trials], rules, F.cross_entropy, engine=engine)
    for step in range(steps):
        population.step(*batch(step), [RATES[k] for k in trials])
    return population


@pytest.mark.parametrize("engine", ["stacked", "one by one"])
def test_each_of_three_goes_as_it_goes_alone(engine: Engine) -> None:
    together = trained([0, 1, 2], engine, 8)
    for k in range(K):
        alone = trained([k], "one by one", 8).state(0)
        for name, value in together.state(k).items():  # float32 sums in another order
            torch.testing.assert_close(value, alone[name], rtol=1e-5, atol=1e-6, msg=f"trial {k}, {name}")
    assert not torch.equal(together.state(0)["last.weight"], together.state(1)["last.weight"])


def test_they_learn_and_what_stands_for_nothing_stays_zero() -> None:
    population = trained([0, 1, 2], "stacked", 200)
    x, y = (torch.cat(part) for part in zip(*(batch(10_000 + i) for i in range(20)), strict=True))
    right = (population.outputs(x).argmax(-1) == y).float().mean(1)
    assert right.min() > 0.9, right
    assert all(not population.state(k)["vectors.weight"][0].any() for k in range(K))
