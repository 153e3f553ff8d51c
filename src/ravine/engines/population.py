"""A population: K trials of one structure, trained at once. A single training run is a population of one.

Three engines turn a batch into gradients over the same packed memory: `compiled` (a trial's whole step as C), `stacked`
(vmap, over as many trials at once as memory allows) and `one by one`. The first batch decides: `one by one` and the
better of the others that can run the model are timed, on one thread and on all, and the faster is taken;
`choice.reason` names what they took, or what vmap said of a model that it refuses. The update is
packed either way, and so is what holds the weights back: penalties and limits on their norm.

Letters in shapes: K trials, B batch, N examples.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from ravine.engines.allocator import give_back
from ravine.engines.choice import Choice, Engine, fastest
from ravine.engines.compiled_steps import CompiledSteps
from ravine.engines.constraints import Constraints
from ravine.engines.loss import Loss
from ravine.engines.memory import out_of_memory, stacked_at_once
from ravine.engines.one_by_one import Habits, habits_of, single_loss, single_losses, single_outputs
from ravine.engines.ownership import Own
from ravine.engines.portions import Portions
from ravine.engines.provisional import CHECKS
from ravine.engines.stack import Stack
from ravine.engines.stacked import hush_slow_operations, stacked_outputs
from ravine.engines.updates import CompiledUpdate, update_for
from ravine.errors import ModelError, SettingError, first_line
from ravine.regularization import MaxNorm, Penalty
from ravine.rules import Rule

__all__ = ["Population", "Precision", "StepRecord"]

Precision = Literal["full", "bfloat16"]
"""What products are computed in; weights, gradients and the rule stay as they are."""

FEWEST, SAMPLE = 4, 2**20
"""Engines are timed on so many trials at least, and on no more than have so many bytes of weights: timing must not take
more memory than training."""


class StepRecord(NamedTuple):
    """What one step was like, each [K]."""

    loss: Tensor  # of the data, without penalties, on this batch and before the step
    grad_norm: Tensor  # Euclidean norm over all parameters before it is clipped: with penalties, unless proximal
    update_ratio: (
        Tensor  # norm of the whole change (the rule's, and what followed it) over that of the parameters before
    )


class Population:
    """K modules of one structure, each with its own rule settings, learning rate and draws.

    modules: K initialized modules on one device, dropout already stateless (`replace_dropout`); they are
        taken over: their parameters become views of the packed memory.
    rules: K rules of one kind; their numbers may differ.
    loss: mean loss of one trial. seeds: for models that draw from torch's global generator themselves.
    engine: auto measures; a `Choice` of another population of the same kind is taken as it is.
    penalties: K, or None for a trial without; their strengths may differ, their choice of parameters may not.
    proximal: apply them by their proximal operator, after the rule and with its rate, instead of by their gradient.
    limits: K max-norm constraints likewise, applied last.
    precision: "bfloat16" runs forward and loss under torch's autocast: products in bfloat16, weights, gradients and
        rule in float32. Meant for GPUs, where it is faster; evaluation stays in float32.
    clip_norm: the longest that a trial's gradient may be, penalties with it; a longer one is scaled back to this norm.
    Raises SettingError for an unknown precision, when rules, penalties or limits do not agree, and for a proximal step or a limit
    beside a rule that averages on the side: the average would not keep it.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        rules: Sequence[Rule],
        loss: Loss,
        *,
        seeds: Sequence[int] | None = None,
        engine: Engine | Choice = "auto",
        penalties: Sequence[Penalty | None] | None = None,
        proximal: bool = False,
        limits: Sequence[MaxNorm | None] | None = None,
        precision: Precision = "full",
        clip_norm: float | None = None,
    ) -> None:
        if precision not in get_args(Precision):
            raise SettingError(f"precision is {precision!r}: write 'full', or 'bfloat16' on a GPU that has it.")
        if len(modules) != len(rules):
            raise ModelError(
                f"a population needs one rule per module: got {len(modules)} modules and {len(rules)} rules."
            )
        self.stack, self.loss, self.precision = Stack(modules), loss, precision
        self._compiled = CompiledSteps(self.stack, loss)
        self._portions: Portions | None = None  # known after the first batch
        give_back()  # what the modules held before the stack took them over
        self.update = update_for(rules, self.stack.layout, self.stack.flat)
        self.constraints = Constraints(
            modules[0], self.stack.layout, len(modules), penalties=penalties, proximal=proximal, limits=limits
        )
        if self.constraints.project and type(rules[0]).settled is not Rule.settled:
            raise SettingError(
                f"{type(rules[0]).__name__} averages its weights on the side, and the average would not keep a limit or "
                "a proximal step: use another rule, or penalties with proximal=False."
            )
        self.clip_norm = clip_norm
        self.seeds = list(seeds) if seeds is not None else list(range(len(modules)))
        self.steps = 0
        self._given = isinstance(engine, Choice)
        self._free = engine == "auto" or self._given  # to go over to another engine
        alone = len(modules) == 1 and engine != "compiled"
        if isinstance(engine, Choice):
            self.choice = engine
        else:
            self.choice = (
                Choice("one by one", None, "there is one trial") if alone else Choice(engine, None, "asked for")
            )
        self._habits: Habits | None = None  # known after the first batch

    def __len__(self) -> int:
        return len(self.stack)

    @property
    def engine(self) -> Engine:
        """The engine in use; "auto" before the first batch."""
        return self.choice.engine

    @property
    def device(self) -> torch.device:
        return self.stack.flat.device

    @property
    def draws(self) -> bool:
        """Whether the model draws from torch's global generator; known after the first batch."""
        return self._habits is not None and self._habits.draws

    def step(
        self, x: Tensor, y: Tensor, lr: Sequence[float], *, own: bool = False, own_targets: bool | None = None
    ) -> StepRecord:
        """One step of every trial.

        x [B, ...], y [B]: a batch that all trials share; with own=True x [K, B, ...], y [K, B], one each.
        own_targets: whether y is one each, where that differs from x.
        lr: K rates.
        Raises SettingError when what is one each does not begin with K, and whatever model or loss raise: the
        population is then as it was before.
        """
        each = Own(own, own if own_targets is None else own_targets)
        each.check(x, y, len(self))
        if self._habits is None:
            self._look_at(x, y, each)
        self.stack.mark()
        self.steps += 1
        self.stack.set_step(self.steps)
        try:
            return self._at_once(x, y, each, lr) or self._move(self._losses(self.engine, x, y, each), lr)
        except Exception as error:
            self.steps -= 1
            self.stack.undo()
            if not self._may_part(error) or self.culprits(x, y, own=own, own_targets=own_targets):
                raise
            refused = _refusal(self.stack.modules[0], error)
        self.choice = Choice("one by one", self.choice.threads, refused)
        return self.step(x, y, lr, own=own, own_targets=own_targets)

    def _may_part(self, error: Exception) -> bool:
        """Whether a step that raised may be tried one by one: a forward may come to what vmap refuses at a later step."""
        return self.engine != "one by one" and self._free and not out_of_memory(error)

    def culprits(
        self, x: Tensor, y: Tensor, *, own: bool = False, own_targets: bool | None = None
    ) -> dict[int, Exception]:
        """What each trial raises whose next step raises when it is taken alone, by position. Nothing moves.

        For a batch whose `step` has raised: a stack raises for all when one does.
        """
        each, found = Own(own, own if own_targets is None else own_targets), dict[int, Exception]()
        self.stack.mark()
        self.stack.set_step(self.steps + 1)
        for k, seed in enumerate(self.seeds):
            draw = (seed, self.steps + 1)
            try:
                single_loss(self.stack, self.loss, x, y, k, own=each, habits=self._habits or Habits(), draw=draw)
            except Exception as error:
                found[k] = error.with_traceback(None)  # a traceback would keep the step's memory alive
        self.stack.undo()
        return found

    def set_momentum(self, values: Sequence[float]) -> None:
        """Give each trial another momentum (for Adam's kind, beta1) from the next step on: K values."""
        self.update.set_momentum(values)

    def _at_once(self, x: Tensor, y: Tensor, own: Own, lr: Sequence[float]) -> StepRecord | None:
        """The whole step in one call, where gradients and rule are both compiled and nothing comes between them."""
        if self.engine != "compiled" or not isinstance(self.update, CompiledUpdate) or self.constraints:
            return None
        if self.clip_norm is not None:
            return None
        if not self._has_c(x, y, own):
            return None
        move = self.update.move(self.stack.flat, self.stack.grads, lr, self.steps)
        losses, norms = self._compiled.moved(x, y, move)
        return StepRecord(losses, norms.grads, norms.change / norms.before)

    @torch.no_grad()
    def _move(self, losses: Tensor, lr: Sequence[float]) -> StepRecord:
        flat = self.stack.flat
        before = self._length(flat)
        self.constraints.before_(self.stack.grads, flat)
        grad_norm = self._length(self.stack.grads)
        if self.clip_norm is not None:
            self.stack.grads.mul_((self.clip_norm / grad_norm).clamp(max=1).unsqueeze(1))
        change = self.update.step(flat, self.stack.grads, lr, self.steps)
        self.constraints.after_(flat, change, lr)
        return StepRecord(losses, grad_norm, self._length(change) / before)

    def _length(self, packed: Tensor) -> Tensor:
        """The Euclidean norm of every trial's row, [K]."""
        length: Tensor = torch.linalg.vector_norm(packed, dim=1)
        return length

    def outputs(self, x: Tensor, *, chunk: int = 1024) -> Tensor:
        """Outputs in evaluation mode for shared inputs, x [N, ...] -> [K, N, ...].

        chunk: inputs at a time; fewer where many trials are stacked, for each has its own activations. A CPU never
        stacks here: so many rows at once keep it busy, and one trial's activations fit its cache.
        """
        stacked = self.engine == "stacked" and self.device.type != "cpu"
        compute = stacked_outputs if stacked else single_outputs
        if stacked:
            chunk = min(chunk, max(16, 4096 // len(self)))
        with self._settled():
            return torch.cat([compute(self.stack, part) for part in x.split(chunk)], dim=1)

    def keep(self, index: Sequence[int]) -> None:
        """Drop every trial but `index`; the survivors go on as if nothing had happened."""
        chosen = torch.tensor(list(index), dtype=torch.int64, device=self.device)
        self.stack.keep(chosen)
        self._portions = self._portions and Portions(self.stack, self.loss, self._portions.size)
        self._compiled = self._compiled.serving(self.stack)
        self.update.keep(chosen)
        self.constraints.keep(chosen)
        self.seeds = [self.seeds[k] for k in index]

    def snapshot(self) -> dict[str, Any]:
        """All that `restore` needs to go on to the same bits: tensors in use (write them down before the next step) and
        plain values. What a module keeps in attributes of its own, beside its buffers, is not in it.
        """
        return {
            "steps": self.steps,
            "choice": list(self.choice) if self._habits is not None or self._given else None,
            "stack": self.stack.snapshot(),
            "update": self.update.snapshot(),
            "portions": self._portions and self._portions.snapshot(),
            "compiled": self._compiled.snapshot(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from the snapshot of a population of the same modules, rules and settings, less the same trials.

        The engine is the one that was chosen there; nothing is measured again.
        """
        self.steps = saved["steps"]
        if saved["choice"] is not None:
            self.choice, self._given = Choice(*saved["choice"]), True
        self.stack.restore(saved["stack"])
        self.update.restore(saved["update"])
        if saved["portions"] is not None:
            self._portions = Portions(self.stack, self.loss, saved["portions"]["size"])
            self._portions.restore(saved["portions"])
        self._compiled.restore(saved["compiled"])

    def twin(self) -> Population:
        """The same trials over the same memory, so that `keep` can part them: each trial to one of the two, for modules
        are not copied.
        """
        twin = copy.copy(self)
        twin.stack, twin.update = copy.copy(self.stack), copy.copy(self.update)
        twin.constraints = copy.deepcopy(self.constraints)
        return twin

    def state(self, k: int) -> dict[str, Tensor]:
        """A copy of trial k's state_dict: the weights to evaluate."""
        with self._settled():
            return self.stack.state(k)

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """For a rule that averages on the side, its averages in place of the weights that train."""
        kept, training = self.update.settled(self.stack.flat), self.stack.flat
        if kept is training:
            yield
            return
        before = training.clone()
        training.copy_(kept)
        try:
            yield
        finally:
            training.copy_(before)

    def _look_at(self, x: Tensor, y: Tensor, own: Own) -> None:
        """Choose engine and threads on the first batch; parameters and buffers are left as they were."""
        self._habits = habits_of(self.stack, x[0] if own.x else x)
        if self._portions is None:
            self._portions = Portions(self.stack, self.loss, self._at_most(self._habits.kept))
        obstacle = self._obstacle(self._habits)
        if obstacle and self.choice.engine in ("stacked", "compiled"):
            raise ModelError(f"{obstacle}; write engine='auto' or 'one by one'.")
        if obstacle:
            self.choice = Choice("one by one", self.choice.threads, obstacle)
        if self.engine == "compiled" and self.precision != "full":
            raise SettingError(f"a compiled step has full precision, got {self.precision!r}: write engine='auto'.")
        if self.engine == "compiled":
            self._has_c(x, y, own)
        if self._given:
            return
        saved = {key: buffer.clone() for key, buffer in self.stack.buffers.items()}
        try:
            hush_slow_operations()
            in_c = self.engine == "auto" and self.precision == "full" and self._compiled.fits(x, y, own)
            few = max(FEWEST, SAMPLE // (self.stack.flat[0].nbytes))
            self.choice = self._sample(few, apart=in_c)._fastest(x[:few] if own.x else x, y[:few] if own.y else y, own)
        finally:
            for key, buffer in self.stack.buffers.items():
                buffer.copy_(saved[key])
            give_back()

    def _sample(self, count: int, *, apart: bool) -> Population:
        """The first trials over the same memory, to be timed.

        apart: their gradients lie in memory that goes with the sample, for a step in C that keeps none.
        """
        sample = copy.copy(self)
        grads = torch.empty_like(self.stack.flat[:count]) if apart else None
        sample.stack = self.stack.part(0, count, grads=grads)
        sample._portions = self._portions and Portions(sample.stack, self.loss, self._portions.size)
        sample._compiled = self._compiled.serving(sample.stack)
        return sample

    def _at_most(self, kept: int) -> int:
        """How many trials are stacked at once; a GPU takes all, for it is only fast when it has much to do."""
        if self.device.type != "cpu":
            return len(self)
        return stacked_at_once(len(self), self.stack.flat[0].nbytes, kept)

    def _has_c(self, x: Tensor, y: Tensor, own: Own) -> bool:
        """Whether a compiled step serves this batch; a population that relied on it goes on stacked when it never will."""
        if self._compiled.agrees(x, y, own):
            return True
        if self._compiled.refusal and self.engine == "compiled":
            self.choice = Choice("stacked", self.choice.threads, f"not compiled: {self._compiled.refusal}")
        return False

    def _fastest(self, x: Tensor, y: Tensor, own: Own) -> Choice:
        """Time the gradients of this batch with every engine that is allowed, on one thread and on all."""
        counts = [1, None] if self.device.type == "cpu" and torch.get_num_threads() > 1 else [None]
        engines, reason = self._allowed(x, y, own)
        work = {engine: functools.partial(self._losses, engine, x, y, own) for engine in engines}
        module = self.stack.modules[0]
        return fastest(work, counts, reason=reason, refused=lambda refusal: _refusal(module, refusal))

    def _allowed(self, x: Tensor, y: Tensor, own: Own) -> tuple[list[Engine], str]:
        """The engines to choose from, and why it is the one where it is only one.

        A stack is not timed beside C, for it would hold K times the activations and was never the faster: 784-1024-1024-10,
        batch 128, took 21 ms a trial compiled, 26 one by one and 35 stacked; 16-8-8, batch 8, 0.006, 0.24 and 0.016.
        """
        if self.choice.engine != "auto":
            return [self.choice.engine], self.choice.reason
        if self.precision == "full" and all(self._compiled.agrees(x, y, own) for _ in range(CHECKS)):
            return ["compiled", "one by one"], ""
        assert self._portions is not None
        if self._portions.size == 1:
            return ["one by one"], "two stacked would take more memory than trials one after another"
        return ["stacked", "one by one"], ""

    def _obstacle(self, habits: Habits) -> str:
        """Why a stack would train this model wrongly, or ""."""
        name = type(self.stack.modules[0]).__name__
        if habits.draws:
            return f"{name} draws from torch's global generator, which a stack of trials cannot share"
        return f"{name} assigns a buffer anew, which a stack of trials cannot follow" if habits.rebinds else ""

    def _losses(self, engine: Engine, x: Tensor, y: Tensor, own: Own) -> Tensor:
        """Losses, [K]; gradients land in the packed buffer."""
        if self.precision == "full":
            return self._losses_as_it_is(engine, x, y, own)
        # Without its cache, which would hold on to last step's weights.
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            return self._losses_as_it_is(engine, x, y, own)

    def _losses_as_it_is(self, engine: Engine, x: Tensor, y: Tensor, own: Own) -> Tensor:
        if engine == "compiled" and self._has_c(x, y, own):
            return self._compiled.losses(x, y)
        if engine in ("stacked", "compiled"):
            assert self._portions is not None
            return self._portions.losses(x, y, own=own)
        draws = [(seed, self.steps) for seed in self.seeds]
        return single_losses(self.stack, self.loss, x, y, own=own, habits=self._habits or Habits(), draws=draws)


def _refusal(module: nn.Module, error: Exception) -> str:
    return f"vmap cannot run {type(module).__name__}: {first_line(error)}"
