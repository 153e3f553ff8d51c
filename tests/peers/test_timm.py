"""huggingface/pytorch-image-models (timm): its schedulers."""

from __future__ import annotations

import torch
from torch import nn

from ravine.schedules import BoundSchedule, Plateau, Warmup, bind

from .reports import report

METRICS = (1.0, 0.9, 0.95, 0.93, 0.92, 0.8, 0.81, 0.82, 0.83, 0.9, 0.7, 0.75, 0.76, 0.77)


@report(
    "huggingface/pytorch-image-models",
    871,
    "A training with a plateau cannot be resumed: its scheduler needs a metric to be set up, and forgets how long it has waited.",
    ravine="The state of a plateau is what was measured; resumed after any evaluation, it has the rates of one never stopped.",
)
def test_871_a_plateau_goes_on_with_the_evaluations_it_has_waited_for() -> None:
    def begun() -> BoundSchedule:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        return bind(Warmup(Plateau(factor=0.5, patience=1, cooldown=1), share=0.1), optimizer, len(METRICS))

    def told(scheduler: BoundSchedule, metrics: tuple[float, ...]) -> list[float]:
        rates = []
        for metric in metrics:
            scheduler.optimizer.step()
            scheduler.step(metric)
            rates += scheduler.get_last_lr()
        return rates

    whole = told(begun(), METRICS)
    assert len(set(whole)) > 3  # it does fall, more than once
    for at in range(1, len(METRICS)):
        old = begun()
        told(old, METRICS[:at])
        new = begun()
        new.load_state_dict(old.state_dict())
        assert told(new, METRICS[at:]) == whole[at:]
