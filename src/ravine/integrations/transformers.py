"""Ravine beside Hugging Face's Trainer.

    callback = RavineCallback()
    trainer = Trainer(model, args, train_dataset=rows, callbacks=[callback])
    trainer.train()
    print(*callback.findings, sep="\\n")

    suggestion = lr_range(trainer)  # before train; model and random states stay as they are

A TrainerCallback is told of steps, not of losses. So the model's own forward is listened to, whose output holds the loss where
the labels are among its inputs. Where the loss is not the model's own (compute_loss_func, label smoothing, an overridden
compute_loss), write `trainer.add_callback(RavineCallback(trainer))`: then the trainer's compute_loss is listened to.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ravine.errors import ModelError, SettingError
from ravine.integrations.batches import few_batches, grouped
from ravine.integrations.companion import Accompanied, Companion
from ravine.integrations.rates import Suggestion, find_rates
from ravine.integrations.rehearsal import Rehearsal, undisturbed

if TYPE_CHECKING:
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

__all__ = ["RavineCallback", "lr_range"]

BATCHES = 100
"""Batches that a rehearsal draws: as many as step 3 takes steps."""

if not TYPE_CHECKING:
    try:
        TrainerCallback = importlib.import_module("transformers").TrainerCallback
    except ModuleNotFoundError as error:
        if error.name != "transformers":  # it is there, and something that it needs is not
            raise
        raise SettingError(
            "ravine.integrations.transformers needs Hugging Face's: write pip install 'ravine[transformers]'."
        ) from error


class RavineCallback(Accompanied, TrainerCallback):
    """Checks a model before `train`, and watches it train.

    trainer: where the loss is not the model's own, see above. check_seconds: of the check (steps 1 and 2 of the recipe, on the
    training data); 0 leaves it out, and so does a training that is resumed. every: steps from one close look of the monitor to
    the next, besides a few at the beginning. stop: end the training when a step of the check fails or an alarm appears (after
    the step under way: the first one is taken whatever the check says).

    What is found is told to the logger `ravine` as it appears, and kept: `findings`, the root first; `verdicts` of the check;
    `notes` on what could not be looked at. Only the process of rank zero looks; `stop` is for trainings by one process.
    """

    def __init__(
        self, trainer: Trainer | None = None, *, check_seconds: float = 20.0, every: int = 300, stop: bool = False
    ) -> None:
        self.stop = stop
        self._trainer = trainer
        self._companion = Companion(check_seconds=check_seconds, every=every)
        self._undo: list[Callable[[], object]] = []  # what takes our ears away again

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        optimizer: Any = None,
        train_dataloader: Any = None,
        **_: Any,
    ) -> None:
        """All is in place, a checkpoint too."""
        companion = self._companion
        self._silence()
        companion.begin()
        if state.is_world_process_zero:
            if state.global_step:
                companion.note("the check before training was left out: the training is resumed.")
            else:
                companion.check(lambda: self._rehearsal(args, model, optimizer, train_dataloader))
            companion.watch(model, [_bare(optimizer)])
            self._listen(model)
        self._stop_on_alarm(control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        """A step is done, however many batches it added up."""
        self._stop_on_alarm(control)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        """The monitor takes its hooks away."""
        self._silence()
        self._companion.close()

    def _rehearsal(self, args: TrainingArguments, model: nn.Module, optimizer: Any, loader: Any) -> Rehearsal:
        trainer = self._trainer
        loss_of = _own_loss(args.device) if trainer is None else _loss_of(trainer)
        return _rehearsal(args, model, optimizer, loader, loss_of)

    def _listen(self, model: nn.Module) -> None:
        """Hear the loss of every batch before its backward."""
        trainer, hear = self._trainer, self._companion.hear
        if trainer is None:
            handle = model.register_forward_hook(lambda _module, _inputs, out: _heard(out, hear))
            self._undo.append(handle.remove)
            return
        compute = trainer.compute_loss

        def listening(*args: Any, **kwargs: Any) -> Any:
            found = compute(*args, **kwargs)
            loss = found[0] if isinstance(found, tuple) else found
            if isinstance(loss, Tensor) and loss.requires_grad and torch.is_grad_enabled():
                hear(loss)
            return found

        trainer.compute_loss = listening  # type: ignore[method-assign]
        self._undo.append(lambda: vars(trainer).pop("compute_loss", None))

    def _silence(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _stop_on_alarm(self, control: TrainerControl) -> None:
        if self.stop and self._companion.alarmed:
            control.should_training_stop = True


def lr_range(
    trainer: Trainer,
    *,
    seconds: float = 60.0,
    grid: tuple[int, int, int] | None = None,
    update: bool = False,
    seed: int = 0,
) -> Suggestion:
    """Step 3 of the recipe: the rates at which the loss of the trainer's model drops markedly under its optimizer, in about so many seconds.

    The model, its place and random states are afterwards bit for bit what they were, and the trainer has made no optimizer.
    grid: rates per decade, seeds and steps, such as (2, 2, 60): then no clock decides anything. update: write the suggestion to
    `trainer.args.learning_rate`.

    Raises SettingError or ModelError, one line, where nothing can be tried.
    """
    if trainer.optimizer is not None and update:
        raise SettingError(
            "update=True writes args.learning_rate, and the trainer has its optimizer already: leave it out."
        )
    model, before = trainer.model, trainer.optimizer
    if model is None:
        raise SettingError("the trainer has no model yet: give it one (model=...), not only model_init.")
    modes = [(part, part.training) for part in model.modules()]
    try:
        with undisturbed(seed):
            optimizer = before or trainer.create_optimizer()
            loader = trainer.get_train_dataloader()
            rehearsal = _rehearsal(trainer.args, model, optimizer, loader, _loss_of(trainer), seed)
            found = find_rates(rehearsal, seconds=seconds, grid=grid)
    finally:
        trainer.optimizer = before
        for part, mode in modes:
            part.training = mode
    if update and found.lr is not None:
        trainer.args.learning_rate = found.lr
    return found


def _rehearsal(
    args: TrainingArguments,
    model: nn.Module,
    optimizer: Any,
    loader: Any,
    loss_of: Callable[[nn.Module, Any], Tensor],
    seed: int = 0,
) -> Rehearsal:
    """Of a training that is about to begin. Raises SettingError where the weights lie in parts."""
    if args.world_size > 1 and any(isinstance(part, nn.SyncBatchNorm) for part in model.modules()):
        raise SettingError(
            "batch statistics are shared by all processes (SyncBatchNorm), and only one of them rehearses."
        )
    if any(hasattr(p, "placements") for p in model.parameters()) or "DeepSpeed" in type(model).__name__:
        raise SettingError("the weights lie in parts on several devices and cannot be copied.")
    size = args.gradient_accumulation_steps
    with undisturbed(seed):
        batches = few_batches(loader, BATCHES * size)
    limit = args.max_grad_norm
    clip = (lambda parameters: nn.utils.clip_grad_norm_(parameters, limit)) if limit else None
    return Rehearsal(_training(model), _bare(optimizer), grouped(batches, size), loss_of, clip, seed)


def _training(model: nn.Module) -> nn.Module:
    """The model in training mode, as the Trainer puts it there before every step."""
    return model.train()


def _own_loss(device: torch.device) -> Callable[[nn.Module, Any], Tensor]:
    """The loss in the output of the model's forward."""

    def loss_of(model: nn.Module, batch: Any) -> Tensor:
        out = model(**_on(batch, device))
        loss = _loss_in(out)
        if loss is None:
            raise ModelError(
                "the model's output holds no loss: put labels among its inputs, or write RavineCallback(trainer) where the "
                "trainer makes the loss."
            )
        return loss

    return loss_of


def _loss_of(trainer: Trainer) -> Callable[[nn.Module, Any], Tensor]:
    """The loss as the trainer makes it, in its precision."""

    def loss_of(model: nn.Module, batch: Any) -> Tensor:
        inputs = trainer._prepare_inputs(dict(batch))
        with trainer.compute_loss_context_manager():
            loss = trainer.compute_loss(model, inputs)
        assert isinstance(loss, Tensor)
        return loss

    return loss_of


def _heard(out: Any, hear: Callable[[Tensor], None]) -> None:
    """A forward pass is over; where it is one of training, its loss is told."""
    loss = _loss_in(out)
    if loss is not None and loss.requires_grad and torch.is_grad_enabled():
        hear(loss)


def _loss_in(out: Any) -> Tensor | None:
    """The scalar loss of a model's output, where there is one."""
    loss = out.get("loss") if isinstance(out, Mapping) else out[0] if isinstance(out, tuple) and out else None
    return loss if isinstance(loss, Tensor) and loss.ndim == 0 else None


def _on(batch: Any, device: torch.device) -> dict[str, Any]:
    return {name: part.to(device) if isinstance(part, Tensor) else part for name, part in batch.items()}


def _bare(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer inside accelerate's wrapper."""
    inner = getattr(optimizer, "optimizer", optimizer)
    assert isinstance(inner, torch.optim.Optimizer)
    return inner
