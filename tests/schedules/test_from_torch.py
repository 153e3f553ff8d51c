"""Torch's schedulers written down: their rates are those that torch sets, wherever a schedule goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from ravine.errors import SettingError
from ravine.schedules import Cosine, Warmup, bind, from_torch, table

MAKERS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 7, gamma=0.3),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5, 2),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.2, total_iters=8),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, 0.5, total_iters=100),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=5), lr_scheduler.ExponentialLR(o, 0.9)], milestones=[5]
    ),
}


def plain(lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)


@pytest.mark.filterwarnings("ignore:The epoch parameter in")
@pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))
def test_the_rates_are_torchs(make: Callable[[torch.optim.Optimizer], Any]) -> None:
    theirs, ours = plain(0.2), plain(0.2)
    scheduler, bound = make(theirs), bind(from_torch(make, steps=30), ours, steps=30)
    for _ in range(30):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        for optimizer, one in ((theirs, scheduler), (ours, bound)):
            optimizer.step()
            one.step()


def test_one_that_sets_rates_of_its_own_gives_its_shape() -> None:
    one_cycle = from_torch(lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.05, total_steps=50), steps=50)
    factors = table(one_cycle, 50)
    assert float(factors.max()) == 1.0
    assert float(factors[0]) == pytest.approx(1 / 25)


def test_it_nests_and_its_name_is_short() -> None:
    shape = from_torch(lambda o: lr_scheduler.StepLR(o, 5), steps=10)
    assert repr(Warmup(shape, share=0.1)) == "Warmup(body=Tabulated(name='StepLR'), share=0.1, start=0.01)"
    assert shape(1.0) == shape.factors[-1]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lr_scheduler.ReduceLROnPlateau, r"Plateau\(\)"),
        (lambda _: Cosine(), "needs a torch scheduler"),
    ],
)
def test_what_has_no_shape_is_refused(make: Any, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        from_torch(make, steps=10)
    with pytest.raises(SettingError, match="steps is 0"):
        from_torch(MAKERS["StepLR"], steps=0)
