"""A population: K trials of one structure, trained at once. A single training run is a population of one.

Two engines turn a batch into gradients over the same packed memory: `stacked` (vmap) and `one by one`. The
first batch decides: a model that vmap refuses is trained one by one, and `reason` names what vmap said;
otherwise both are timed and the faster is taken. So is the number of threads, one or all. The update is
packed either way.

Letters in shapes: K trials, B batch, N examples.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ravine.engines.loss import Loss
from ravine.engines.one_by_one import draws_itself, single_losses, single_outputs
from ravine.engines.stack import Stack
from ravine.engines.stacked import stacked_losses, stacked_outputs
from ravine.engines.stacking import per_trial, stack_rules
from ravine.engines.threads import threads
from ravine.engines.updates import update_for
from ravine.errors import ModelError
from ravine.rules import Rule

__all__ = ["Engine", "Population", "StepRecord"]

Engine = Literal["auto", "stacked", "one by one"]


class StepRecord(NamedTuple):
    """What one step was like, each [K]."""

    loss: Tensor  # on this batch, before the step
    grad_norm: Tensor  # Euclidean norm over all parameters
    update_ratio: Tensor  # norm of the change over the norm of the parameters before it


class Population:
    """K modules of one structure, each with its own rule settings, learning rate and draws.

    modules: K initialized modules on one device, dropout already stateless (`replace_dropout`); they are
        taken over: their parameters become views of the packed memory.
    rules: K rules of one kind; their numbers may differ.
    loss: mean loss of one trial. seeds: for models that draw from torch's global generator themselves.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        rules: Sequence[Rule],
        loss: Loss,
        *,
        seeds: Sequence[int] | None = None,
        engine: Engine = "auto",
    ) -> None:
        if len(modules) != len(rules):
            raise ModelError(
                f"a population needs one rule per module: got {len(modules)} modules and {len(rules)} rules."
            )
        self.stack, self.loss = Stack(modules), loss
        self.update = update_for(stack_rules(rules, self.device), self.stack.layout, self.stack.flat)
        self.seeds = list(seeds) if seeds is not None else list(range(len(modules)))
        self.steps = 0
        self.engine: Engine = "one by one" if len(modules) == 1 else engine
        self.reason = "there is one trial" if len(modules) == 1 else "asked for"
        self.threads: int | None = None  # measured on the first batch; None leaves torch's own
        self._draws: bool | None = None  # does the model draw by itself? known after the first batch

    def __len__(self) -> int:
        return len(self.stack)

    @property
    def device(self) -> torch.device:
        return self.stack.flat.device

    def step(self, x: Tensor, y: Tensor, lr: Sequence[float], *, own: bool = False) -> StepRecord:
        """One step of every trial.

        x [B, ...], y [B]: a batch that all trials share; with own=True x [K, B, ...], y [K, B], one each.
        lr: K rates.
        """
        if self._draws is None:
            self._look_at(x, y, own)
        self.steps += 1
        self.stack.set_step(self.steps)
        self.stack.grads.zero_()
        losses = self._losses(self.engine, x, y, own)
        with torch.no_grad():
            before = torch.linalg.vector_norm(self.stack.flat, dim=1)
            change = self.update.step(self.stack.flat, self.stack.grads, per_trial(lr, self.device), self.steps)
            grad_norm = torch.linalg.vector_norm(self.stack.grads, dim=1)
            return StepRecord(losses, grad_norm, torch.linalg.vector_norm(change, dim=1) / before)

    def outputs(self, x: Tensor, *, chunk: int = 1024) -> Tensor:
        """Outputs in evaluation mode for shared inputs, x [N, ...] -> [K, N, ...], `chunk` inputs at a time."""
        compute = stacked_outputs if self.engine == "stacked" else single_outputs
        return torch.cat([compute(self.stack, part) for part in x.split(chunk)], dim=1)

    def keep(self, index: Sequence[int]) -> None:
        """Drop every trial but `index`; the survivors go on as if nothing had happened."""
        chosen = torch.tensor(list(index), dtype=torch.int64, device=self.device)
        self.stack.keep(chosen)
        self.update.keep(chosen)
        self.seeds = [self.seeds[k] for k in index]

    def state(self, k: int) -> dict[str, Tensor]:
        """A copy of trial k's state_dict."""
        return self.stack.state(k)

    def _look_at(self, x: Tensor, y: Tensor, own: bool) -> None:
        """Choose engine and threads on the first batch; parameters and buffers are left as they were."""
        self._draws = draws_itself(self.stack.modules[0], x[0] if own else x)
        saved = {key: buffer.clone() for key, buffer in self.stack.buffers.items()}
        if self.engine == "auto":
            self.engine, self.reason = self._faster(x, y, own, saved)
        if self.device.type == "cpu" and torch.get_num_threads() > 1:
            every = self._seconds(lambda: self._losses(self.engine, x, y, own))
            with threads(1):
                alone = self._seconds(lambda: self._losses(self.engine, x, y, own))
            self.threads = 1 if alone < 1.1 * every else None
            self._restore(saved)

    def _losses(self, engine: Engine, x: Tensor, y: Tensor, own: bool) -> Tensor:
        if engine == "stacked":
            return stacked_losses(self.stack, self.loss, x, y, own=own)
        reseed = [(seed, self.steps) for seed in self.seeds] if self._draws else None
        return single_losses(self.stack, self.loss, x, y, own=own, reseed=reseed)

    def _faster(self, x: Tensor, y: Tensor, own: bool, saved: dict[str, Tensor]) -> tuple[Engine, str]:
        """Time both engines on this batch."""
        name = type(self.stack.modules[0]).__name__
        if self._draws:
            return "one by one", f"{name} draws from torch's global generator, which a stack of trials cannot share"
        try:
            stacked = self._seconds(lambda: self._losses("stacked", x, y, own))
        except Exception as refusal:  # whatever vmap or the model under it raises is the reason
            said = str(refusal).strip().splitlines()[0] if str(refusal).strip() else type(refusal).__name__
            return "one by one", f"vmap cannot run {name}: {said}"
        finally:
            self._restore(saved)
        single = self._seconds(lambda: self._losses("one by one", x, y, own))
        self._restore(saved)
        engine: Engine = "stacked" if stacked <= single else "one by one"
        return engine, f"measured: {1e3 * stacked:.2f} ms a step stacked, {1e3 * single:.2f} ms one by one"

    def _seconds(self, work: Callable[[], Tensor]) -> float:
        """The fastest of two runs after one to warm up."""
        taken = []
        for _ in range(3):
            start = time.perf_counter()
            work().sum().item()  # .item() waits for the device
            taken.append(time.perf_counter() - start)
        return min(taken[1:])

    def _restore(self, saved: dict[str, Tensor]) -> None:
        for key, buffer in self.stack.buffers.items():
            buffer.copy_(saved[key])
