"""The list of operations against the stacked step it was written down from."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.engines.one_by_one import single_outputs
from ravine.engines.ownership import Own
from ravine.engines.provisional import CHECKS, CannotRecordError
from ravine.engines.recorded import Recorder, written_down
from ravine.engines.stack import Stack
from ravine.engines.stacked import stacked_losses, stacked_outputs
from ravine.regularization import Dropout

K, B = 3, 8


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 7), nn.ReLU(), nn.Linear(7, 4))


def dropping() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 7), nn.Tanh(), Dropout(0.4, seed=5), nn.Linear(7, 4))


def convolution() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4)
    )


def frozen() -> nn.Module:
    model = mlp()
    model[1].weight.requires_grad_(False)
    return model


class Unused(nn.Module):
    """A parameter that nothing reads, and a constant that grows in place from the same start at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.idle = nn.Linear(36, 4), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        shift = torch.tensor(1.0)
        shift += 1
        return self.layer(x.flatten(1)) * shift + torch.arange(4)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(6, 18), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x.squeeze(1)).chunk(3, dim=-1)
        return self.out(F.scaled_dot_product_attention(q, k, v).mean(1))


MODELS: list[Callable[[], nn.Module]] = [mlp, dropping, convolution, frozen, Unused, Attention]


def stack_of(make: Callable[[], nn.Module]) -> Stack:
    torch.manual_seed(0)
    return Stack([make() for _ in range(K)])


def batch(step: int, own: Own, size: int = B) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(step)
    x = torch.randn(K, size, 1, 6, 6, generator=draw)
    y = torch.randint(0, 4, (K, size), generator=draw)
    return x if own.x else x[0], y if own.y else y[0]


@pytest.mark.parametrize("own", [Own(False, False), Own(True, True), Own(False, True)], ids=str)
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_every_number_is_that_of_the_stacked_step(make, own):
    listed, stacked = stack_of(make), stack_of(make)
    recorder = Recorder(F.cross_entropy)
    for step in range(CHECKS + 4):
        for stack in (listed, stacked):
            stack.set_step(step)
        x, y = batch(step, own)
        found = recorder.losses(listed, x, y, own=own)
        wanted = stacked_losses(stacked, F.cross_entropy, x, y, own=own)
        assert torch.equal(found, wanted)
        assert torch.equal(listed.grads, stacked.grads)
        assert all(torch.equal(one, stacked.buffers[name]) for name, one in listed.buffers.items())
        for stack in (listed, stacked):
            stack.flat.sub_(0.1 * stack.grads)
    assert recorder.refusal == ""


def test_the_forward_runs_no_more_once_the_list_is_trusted():
    calls = []

    class Told(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(1)
            return super().forward(x.flatten(1))

    recorder, stack = Recorder(F.cross_entropy), stack_of(lambda: Told(36, 4))
    for step in range(10):
        recorder.losses(stack, *batch(step, Own(False, False)), own=Own(False, False))
    assert len(calls) == 1 + CHECKS
    recorder.restore({**recorder.snapshot(), "doubtful": CHECKS})
    for step in range(10):
        recorder.losses(stack, *batch(step, Own(False, False)), own=Own(False, False))
    assert len(calls) == 1 + 2 * CHECKS


def test_a_batch_of_another_shape_is_stacked():
    own = Own(False, False)
    listed, stacked = stack_of(mlp), stack_of(mlp)
    recorder = Recorder(F.cross_entropy)
    for step, size in enumerate([B, B, B, B - 3, 1, B]):
        x, y = batch(step, own, size)
        assert torch.equal(
            recorder.losses(listed, x, y, own=own), stacked_losses(stacked, F.cross_entropy, x, y, own=own)
        )


class Counts(nn.Linear):
    calls = 0

    def __init__(self) -> None:
        super().__init__(36, 4)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x.flatten(1)) * min(1.0, self.calls / 10)


class DrawsInPython(nn.Linear):
    def __init__(self) -> None:
        super().__init__(36, 4)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1)) * random.random()  # noqa: S311 - as users do


class DrawsInNumpy(DrawsInPython):
    def forward(self, x: Tensor) -> Tensor:
        return nn.Linear.forward(self, x.flatten(1)) * np.random.rand()  # noqa: NPY002 - as users do


class TakesANumber(DrawsInPython):
    def forward(self, x: Tensor) -> Tensor:
        return nn.Linear.forward(self, x.flatten(1)) / x.abs().max().item()


class ReadsTheMemory(DrawsInPython):
    def forward(self, x: Tensor) -> Tensor:
        return nn.Linear.forward(self, x.flatten(1)) / float(np.abs(x.numpy()).max())


class CutsByValue(DrawsInPython):
    """The shape on the way depends on the batch."""

    def forward(self, x: Tensor) -> Tensor:
        positive = x.flatten()[x.flatten() > 0]
        return nn.Linear.forward(self, x.flatten(1)) * positive.view(positive.shape[0], 1).mean()


def hooked() -> nn.Module:
    model = mlp()
    model[1].register_forward_hook(lambda *_: None)
    return model


REFUSED = {
    Counts: "Counts counts its steps",
    DrawsInPython: "DrawsInPython does not do the same at every step",
    DrawsInNumpy: "DrawsInNumpy does not do the same at every step",
    ReadsTheMemory: "ReadsTheMemory does not do the same at every step",
    TakesANumber: "aten._local_scalar_dense.default takes a number out of a tensor",
    CutsByValue: "view size|invalid for input",
    hooked: "Sequential has hooks",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_a_forward_that_is_more_than_its_operations_is_stacked_every_time(make):
    own = Own(False, False)
    recorder, stack, fresh = Recorder(F.cross_entropy), stack_of(make), stack_of(make)
    found, wanted = [], []
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    for step in range(6):
        found.append(recorder.losses(stack, *batch(step, own), own=own))
    assert re.search(REFUSED[make], recorder.refusal)
    if make in (TakesANumber, ReadsTheMemory, CutsByValue, hooked):  # the others do not repeat themselves
        for step in range(6):
            wanted.append(stacked_losses(fresh, F.cross_entropy, *batch(step, own), own=own))
        assert torch.equal(torch.stack(found), torch.stack(wanted))


def test_recording_leaves_the_stack_as_it_was():
    stack, own = stack_of(convolution), Own(False, False)
    stack.grads.fill_(7.0)  # before a step there are none, and nothing is written there
    before = [tensor.detach().clone() for tensor in (stack.flat, stack.grads, *stack.buffers.values())]
    Recorder(F.cross_entropy)._record(stack, *batch(0, own), own)
    after = [stack.flat, stack.grads, *stack.buffers.values()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_a_constant_from_outside_is_read_and_not_kept():
    outside = torch.ones(2)
    double = written_down(lambda x: (x * outside, ()), [torch.zeros(2)])
    outside.fill_(5.0)
    assert double(torch.ones(2))[0].tolist() == [5.0, 5.0]


def test_a_number_taken_out_is_refused():
    with pytest.raises(CannotRecordError, match="takes a number out of a tensor"):
        written_down(lambda x: (x * bool(x.sum() > 0), ()), [torch.ones(2)])


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_stacked_outputs_are_those_of_each_module(make):
    stack = stack_of(make)
    x, _ = batch(0, Own(False, False))
    torch.testing.assert_close(stacked_outputs(stack, x), single_outputs(stack, x))
