"""What a stack is counted to take, against what torch has asked for at the peak of its first steps.

Letters in shapes: K trials.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ravine.data import from_arrays
from ravine.engines.memory import trial_bytes
from ravine.models import MODELS, Model
from ravine.training import Run, Setting

K = 6


def peak(work: Callable[[], object]) -> int:
    """The most bytes of tensors that were alive at once in `work`."""
    with torch.autograd.profiler.profile(use_kineto=True, profile_memory=True) as profile:
        work()
    assert profile.kineto_results is not None
    events = [event for event in profile.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(changes).max())


@pytest.mark.parametrize(
    ("name", "settings", "shape", "batch"),
    [
        ("mlp", {"hidden": [256, 256]}, (100,), 8),
        ("mlp", {"hidden": [64, 64]}, (64,), 512),
        ("cnn", {"channels": [8, 16]}, (1, 12, 12), 32),
        ("resnet", {"width": 4}, (1, 12, 12), 32),
    ],
)
def test_a_stack_takes_no_more_than_was_counted_on_and_not_much_less(
    name: str, settings: dict[str, object], shape: tuple[int, ...], batch: int
) -> None:
    """An eighth at least: a perceptron's activations are counted as dear as a convolution's, and what the allocator of a CPU
    cannot use again comes on top.
    """
    rng = np.random.default_rng(0)
    data = from_arrays(rng.normal(size=(700, *shape)).astype("float32"), rng.integers(0, 10, 700))
    model = Model(name, MODELS[name], data.input_shape, data.outputs, settings)
    counted = K * trial_bytes(model.build(0), torch.zeros(batch, *data.input_shape))

    def train() -> None:
        trials = [Setting(batch_size=batch, seed=k, order=0) for k in range(K)]
        run = Run(data, model, trials, steps=6, probe=20, engine="stacked")
        run.advance(6)
        run.evaluate()

    assert counted / 8 < peak(train) < counted
