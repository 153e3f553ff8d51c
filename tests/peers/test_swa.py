"""timgaripov/swa: stochastic weight averaging, as it was published."""

from __future__ import annotations

import torch

from ravine.data import Data
from ravine.training import SWA, Averaging, Setting, choose_average, evaluate

from .reports import report
from .small import normalized, run


@report(
    "timgaripov/swa",
    15,
    "Looking at the average in the middle of a training estimates batch norm anew, and may spoil the statistics that training goes on with.",
    ravine="The average is judged on copies; a training that was looked at goes on in the same bits.",
)
def test_15_looking_at_the_average_leaves_the_training_as_it_is(three_classes: Data) -> None:
    ended = []
    for looked in (True, False):
        averaging = Averaging(SWA(), every=3, start=10)
        setting = Setting("sgd", lr=0.3, batch_size=16)
        trained = run(three_classes, setting, factory=normalized, averaging=averaging, steps=30)
        trained.advance(20)
        if looked:
            single, average = (normalized(three_classes.input_shape, three_classes.outputs) for _ in range(2))
            single.load_state_dict(trained.population.state(0))
            average.load_state_dict(trained.averaged_state(0))
            before = {name: value.clone() for name, value in average.state_dict().items()}
            inputs = three_classes.train.batch(torch.arange(64))[0].split(16)
            choose_average(single, average, inputs, lambda m: evaluate(m, three_classes.validation, three_classes.task))
            assert all(torch.equal(before[name], value) for name, value in average.state_dict().items())
        trained.advance(10)
        ended.append({**trained.population.state(0), **{f"mean.{k}": v for k, v in trained.averaged_state(0).items()}})
    assert all(torch.equal(ended[0][name], value) for name, value in ended[1].items())
