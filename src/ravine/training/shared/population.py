"""A population of one, trained by several processes: each has all weights and takes its part of every batch.

What is packed, penalized, clipped and stepped is as in `Population`, in every process alike, for the gradients they
step by are the same. So a state that one process wrote is that of any number.

Letters in shapes: B examples of an update, W processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ravine.engines import Loss, Population, StepRecord
from ravine.engines.one_by_one import Habits, habits_of
from ravine.engines.stacking import stack_rules
from ravine.engines.updates import PackedUpdate
from ravine.errors import ModelError
from ravine.randomness import seeded
from ravine.regularization import set_rows
from ravine.rules import Rule
from ravine.training.shared.team import Team

__all__ = ["SharedPopulation"]


class SharedPopulation(Population):
    """One module under one rule. batch_size: B, of which `step` is given this process's part.

    A gradient is that of the mean loss over all B examples: each part of n examples weighs n / B. The model's random
    layers drop what one process would drop, as far as a mask has a row for every example.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        rules: Sequence[Rule],
        loss: Loss,
        *,
        team: Team,
        batch_size: int,
        **more: Any,
    ) -> None:
        super().__init__(modules, rules, loss, **{**more, "engine": "one by one"}, clip_norm=team.sharing.clip_norm)
        self.team, self.batch_size = team, batch_size
        if team.sharing.strategy == "fsdp":  # one form of the rule's state, whatever the number of processes
            self.update = PackedUpdate(stack_rules(rules, self.device), self.stack.layout, self.stack.flat)
        self._wrapped: Any = None  # the module as Fabric runs it; made anew where buffers have moved

    def step(
        self, x: Tensor, y: Tensor, lr: Sequence[float], *, own: bool = False, own_targets: bool | None = None
    ) -> StepRecord:
        """One step of all processes together. x, y: this one's rows of the batch."""
        assert not own
        assert not own_targets
        if self._habits is None:
            self._habits = self._look(x)
        self.stack.mark()
        self.steps += 1
        self.stack.set_step(self.steps)
        try:
            losses = self._slopes(x, y, self._habits)
        except Exception as error:
            self.steps -= 1
            self.stack.undo()
            if "finished reduction in the prior iteration" in str(error):
                raise ModelError(
                    "some parameters of the model take no part in its output, and the processes would wait for their "
                    "gradients: leave them out, or freeze them with requires_grad_(False)."
                ) from error
            raise
        return self._move(losses, lr)

    def _look(self, x: Tensor) -> Habits:
        """What the model does besides computing, on its first batch."""
        return habits_of(self.stack, x)

    def _slopes(self, x: Tensor, y: Tensor, habits: Habits) -> Tensor:
        """Loss of the whole batch, [1]; its gradient lands in the packed buffer, the same in every process."""
        fabric, module = self.team.fabric, self.stack.modules[0]
        if self._wrapped is None:
            self._wrapped = self.team.wrapped(module)
        self._wrapped.train()
        total, first = torch.zeros(1, device=self.device), self.team.part(self.batch_size).start
        parts = self.team.sharing.accumulate
        for part, (inputs, targets) in enumerate(zip(x.tensor_split(parts), y.tensor_split(parts), strict=True)):
            share = len(inputs) / self.batch_size
            set_rows(module, first, len(inputs))
            with self._drawing(part) if habits.draws else nullcontext(), self._alone(part < parts - 1):
                value = self.loss(self._wrapped(inputs), targets)
                fabric.backward(value * (share * self.team.size))  # what comes back is a mean over the processes
            total += value.detach() * share
            first += len(inputs)
        self.stack.gather([param.grad for param in self.stack.params[0]], 0)
        for param in self.stack.params[0]:
            param.grad = None
        if habits.rebinds:
            self.stack.collect(0)
        return self.team.summed(total)

    def _drawing(self, part: int) -> AbstractContextManager[None]:
        """For a model that draws from torch's global generator: other draws for every part of a batch."""
        place = () if (self.team.rank, part) == (0, 0) else (self.team.rank, part)
        return seeded(self.seeds[0], "step", self.steps, *place)

    def _alone(self, enabled: bool) -> AbstractContextManager[None]:
        """Backwards whose gradients are summed here, and not yet sent."""
        if self.team.size == 1 or not enabled:
            return nullcontext()
        return self.team.fabric.no_backward_sync(self._wrapped)  # type: ignore[no-any-return]

    def outputs(self, x: Tensor, *, chunk: int = 1024) -> Tensor:
        """As a population's, each process with its part of the rows; all have them all in the end.

        Batch norm's running statistics are the leader's, for where they are not synchronized each process has its own.
        """
        if self.team.size == 1:
            return super().outputs(x, chunk=chunk)
        self.team.level(list(self.stack.buffers.values()))
        mine = x[self.team.part(len(x))]
        rows = super().outputs(mine if len(mine) else x[:1], chunk=chunk)[0, : len(mine)]
        return self.team.joined(rows, len(x)).unsqueeze(0)

    def keep(self, index: Sequence[int]) -> None:
        super().keep(index)
        self._wrapped = None
