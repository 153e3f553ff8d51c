"""What must hold of every model under every engine: a trial goes alone as it goes among seven, and after five are gone.

The draws of a trial (dropout, data order) are functions of its seed and the step, so all three runs meet the same ones;
results agree to rounding, 1e-5 of the largest weight after 8 steps of AdamW, for products are summed in another order
where more trials are stacked. In C a trial is computed by itself: there they agree to the bit.

Letters in shapes: B batch, L words of a text.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.engines import Engine, Population
from ravine.models import cnn, mlp
from ravine.randomness import seeded
from ravine.regularization import replace_dropout
from ravine.rules import AdamW

B, STEPS, CUT, KEPT = 16, 8, 4, [5, 2]


class Residual(nn.Module):
    """Blocks of batch norm and a linear layer around which the input is carried.

    The last norm has a linear layer behind it, so no bias is taken away again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 24, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm1d(24) for _ in range(2)])
        self.layers = nn.ModuleList([nn.Linear(24, 24, bias=False), nn.Linear(24, 24)])
        self.last = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + layer(F.relu(norm(x)))
        return self.last(x)


class Words(nn.Module):
    """The mean of a text's embeddings, classified: x [B, L] int64."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(30, 8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.table(x).mean(1))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "MLP with dropout": lambda: mlp((1, 8, 8), 10, hidden=[20, 12], dropout=0.3),
    "CNN": lambda: cnn((1, 8, 8), 10, channels=[4, 6], hidden=12, dropout=0.2),
    "batch norm and residual connections": Residual,
    "embedding": Words,
}


def batch(step: int, words: bool) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(step)
    x = torch.randint(30, (B, 5), generator=draw) if words else torch.randn(B, 1, 8, 8, generator=draw)
    return x, torch.randint(10, (B,), generator=draw)


def made(name: str, seed: int) -> nn.Module:
    with seeded(seed, "test"):
        return replace_dropout(MODELS[name](), seed=seed)


def trained(name: str, engine: Engine, trials: list[int], *, cut: list[int] | None = None) -> Population:
    """The trials after STEPS steps; from step CUT on, those of `cut` alone."""
    modules, rules = [made(name, k) for k in trials], [AdamW(weight_decay=0.01 * k) for k in trials]
    found = Population(modules, rules, F.cross_entropy, seeds=trials, engine=engine)
    for step in range(STEPS):
        if cut is not None and step == CUT:
            found.keep([trials.index(k) for k in cut])
            trials = cut
        found.step(*batch(step, name == "embedding"), [1e-3 * (1 + k) for k in trials])
    return found


@pytest.mark.parametrize("engine", ["compiled", "stacked", "one by one"])
@pytest.mark.parametrize("name", MODELS)
def test_a_trial_goes_alone_as_among_seven_and_after_a_cut(name: str, engine: Engine) -> None:
    whole = trained(name, engine, list(range(7)))
    cut = trained(name, engine, list(range(7)), cut=KEPT)
    alone = trained(name, engine, [KEPT[0]])
    exact = whole.engine == "compiled"
    assert exact == (engine == "compiled" and name == "MLP with dropout")
    for one, position in ((whole, KEPT[0]), (cut, 0)):
        for key, value in alone.state(0).items():
            there = one.state(position)[key]
            if exact:
                assert torch.equal(value, there)
            elif value.is_floating_point():
                torch.testing.assert_close(value, there, rtol=1e-5, atol=1e-5)
            else:
                assert torch.equal(value, there)
    assert not torch.allclose(whole.stack.flat[5], whole.stack.flat[2], atol=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_engines_agree(name: str) -> None:
    flats = [trained(name, engine, [0, 1, 2]).stack.flat for engine in ("compiled", "stacked", "one by one")]
    for flat in flats[1:]:
        torch.testing.assert_close(flat, flats[0], rtol=1e-5, atol=2e-5)
