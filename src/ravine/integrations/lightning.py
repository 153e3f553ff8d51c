"""Ravine beside Lightning's Trainer, whichever of its two names it goes by: `lightning.pytorch` or `pytorch_lightning`.

    callback = RavineCallback()
    trainer = Trainer(callbacks=[callback])
    trainer.fit(module, loader)
    print(*callback.findings, sep="\\n")

    suggestion = lr_range(trainer, module, loader)  # before fit; module and random states stay as they are

The check before training runs `training_step` on copies of the module. They see the trainer through a stand-in whose loggers
swallow what they are given, and their `log` does nothing. Where `training_step` steps its optimizers itself (manual
optimization) or the weights lie in parts on many devices, there is nothing to rehearse; the monitor looks on all the same.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ravine.errors import ModelError, SettingError
from ravine.integrations.batches import few_batches, grouped
from ravine.integrations.companion import Accompanied, Companion
from ravine.integrations.rates import Suggestion, find_rates
from ravine.integrations.rehearsal import Rehearsal, undisturbed

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer

__all__ = ["RavineCallback", "lr_range"]

BATCHES = 100
"""Batches that a rehearsal draws: as many as step 3 takes steps."""

SHARDED = ("FSDP", "ModelParallel", "DeepSpeed")
"""Strategies that lay the weights out in parts, which nobody can copy."""

NAMES = ("lr", "learning_rate")
"""Where a module keeps its rate, as Lightning's own tuner has it."""


def _installed() -> str:
    """The name of the package that the person uses: one that is imported already, else whichever there is."""
    names = ("lightning.pytorch", "pytorch_lightning")
    for name in [each for each in names if each in sys.modules] or names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not name.startswith(str(error.name)):  # it is there, and something that it needs is not
                raise
            continue
        return name
    raise SettingError("ravine.integrations.lightning needs Lightning: write pip install 'ravine[lightning]'.")


if not TYPE_CHECKING:
    Callback = importlib.import_module(_installed()).Callback


class RavineCallback(Accompanied, Callback):
    """Checks a module before `fit`, and watches it train.

    check_seconds: of the check (steps 1 and 2 of the recipe, on the training data); 0 leaves it out, and so does a training that
    is resumed. every: steps from one close look of the monitor to the next, besides a few at the beginning. stop: end the
    training when a step of the check fails or an alarm appears.

    What is found is told to the logger `ravine` as it appears, and kept: `findings`, the root first; `verdicts` of the check;
    `notes` on what could not be looked at. Only the process of rank zero looks: where several train together and
    `training_step` itself waits for the others (`all_gather`), write check_seconds=0.
    """

    def __init__(self, *, check_seconds: float = 20.0, every: int = 300, stop: bool = False) -> None:
        self.stop = stop
        self._companion = Companion(check_seconds=check_seconds, every=every)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 - Lightning's signature
        """What an earlier fit found is forgotten."""
        self._companion.begin()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """All is in place, a checkpoint too, and the sanity check of the validation is over."""
        if trainer.is_global_zero:
            if trainer.global_step:
                self._companion.note("the check before training was left out: the training is resumed.")
            else:
                self._companion.check(lambda: _rehearsal(trainer, pl_module))
            self._companion.watch(pl_module, trainer.optimizers)
        self._stop_on_alarm(trainer)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:  # noqa: ARG002
        """A loss, with the factor taken off by which mixed precision scales it; of several optimizers nobody knows whose it is."""
        if len(trainer.optimizers) == 1:
            scaler = getattr(trainer.precision_plugin, "scaler", None)
            self._companion.hear(loss if scaler is None else loss / scaler.get_scale())

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """A batch is done; a step, where gradients are not added up."""
        self._stop_on_alarm(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """The monitor takes its hooks away."""
        self._companion.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Likewise: what was found until then is kept."""
        self._companion.close()

    def _stop_on_alarm(self, trainer: Trainer) -> None:
        """All processes stop, or none."""
        if self.stop:
            alarmed = self._companion.alarmed
            trainer.should_stop |= trainer.strategy.reduce_boolean_decision(alarmed, all=False)


def lr_range(
    trainer: Trainer,
    module: LightningModule,
    train_dataloaders: Any = None,
    datamodule: Any = None,
    *,
    seconds: float = 60.0,
    grid: tuple[int, int, int] | None = None,
    update: bool = False,
    seed: int = 0,
) -> Suggestion:
    """Step 3 of the recipe: the rates at which the module's loss drops markedly under its own optimizer, in about so many seconds.

    The trainer sets everything up as for `fit` (device, precision, data, optimizer) and goes no further; parameters, buffers,
    random states and the trainer's progress are afterwards bit for bit what they were. grid: rates per decade, seeds and
    steps, such as (2, 2, 60): then no clock decides anything. update: write the suggestion to `module.lr` or
    `module.learning_rate` (in hparams too, where it is there).

    Raises SettingError or ModelError, one line, where nothing can be tried.
    """
    if update:
        _rate_of(module)  # before any time is spent
    explorer = _Explorer(trainer, lambda rehearsal: find_rates(rehearsal, seconds=seconds, grid=grid), seed)
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    trainer.callbacks = [explorer]  # type: ignore[attr-defined]
    try:
        with undisturbed(seed), _as_it_is(module), _silent(trainer):
            trainer.fit(module, train_dataloaders, datamodule=datamodule)
    finally:
        trainer.callbacks = callbacks  # type: ignore[attr-defined]
    if explorer.found is None:
        raise SettingError(
            "Lightning did not come to its training: are limit_train_batches, max_epochs or max_steps 0?"
        )
    if update and explorer.found.lr is not None:
        place, name = _rate_of(module)
        place[name] = explorer.found.lr
        if hasattr(module, name):
            setattr(module, name, explorer.found.lr)
    return explorer.found


class _Explorer(Callback):
    """Goes along to where a fit would begin, rehearses, and turns back, as Lightning's own tuner does."""

    def __init__(self, trainer: Trainer, work: Callable[[Rehearsal], Suggestion], seed: int) -> None:
        self.work, self.seed = work, seed
        self.found: Suggestion | None = None
        home = next(c.__module__ for c in type(trainer).__mro__ if c.__name__ == "Trainer").split(".trainer")[0]
        self.turn_back = importlib.import_module(f"{home}.utilities.exceptions")._TunerExitException

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = self.work(_rehearsal(trainer, pl_module, seed=self.seed)) if trainer.is_global_zero else None
        self.found = trainer.strategy.broadcast(found)
        raise self.turn_back


def _rehearsal(trainer: Trainer, module: LightningModule, seed: int = 0) -> Rehearsal:
    """Of a fit that is about to begin. Raises ModelError or SettingError where there is nothing to rehearse."""
    if not module.automatic_optimization:
        raise ModelError("training_step steps its optimizers itself (manual optimization), and cannot be rehearsed.")
    if any(name in type(trainer.strategy).__name__ for name in SHARDED):
        raise SettingError(f"the weights lie in parts ({type(trainer.strategy).__name__}) and cannot be copied.")
    if trainer.world_size > 1 and any(isinstance(part, nn.SyncBatchNorm) for part in module.modules()):
        raise SettingError(
            "batch statistics are shared by all processes (SyncBatchNorm), and only one of them rehearses."
        )
    parameters = list(inspect.signature(module.training_step).parameters)
    if "dataloader_iter" in parameters:
        raise ModelError("training_step takes an iterator of batches (dataloader_iter), and cannot be rehearsed.")
    if not trainer.optimizers:
        raise ModelError("configure_optimizers gives no optimizer.")
    size = trainer.accumulate_grad_batches
    with undisturbed(seed):
        loader = trainer.train_dataloader  # before a fit has made its iterators there is only where it will come from
        drawn = few_batches(loader or trainer.fit_loop._data_source.dataloader(), BATCHES * size)
        batches = [trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch)) for batch in drawn]
    standin = _standin(trainer)
    more = (0,) if len(parameters) > 1 else ()

    def loss_of(model: nn.Module, batch: Any) -> Tensor:
        _attach(model, standin)
        with _context(trainer):
            given = model.training_step(batch, *more)  # type: ignore[operator]
        loss = given["loss"] if isinstance(given, dict) else given
        if not isinstance(loss, Tensor):
            raise ModelError(f"training_step gives {type(loss).__name__}; it must return a loss.")
        return loss

    return Rehearsal(module, trainer.optimizers[0], grouped(batches, size), loss_of, _clip(trainer), seed)


def _standin(trainer: Trainer) -> Trainer:
    """The trainer to look at, with loggers that keep nothing."""
    home = importlib.import_module(type(trainer.strategy).__module__.split(".strategies")[0] + ".loggers.logger")
    standin = copy.copy(trainer)
    standin.loggers = [home.DummyLogger() for _ in trainer.loggers]
    return standin


def _attach(model: nn.Module, standin: Trainer) -> None:
    """Give a copy the stand-in once, and take its ways of logging."""
    if getattr(model, "_trainer", None) is standin:
        return
    for part in model.modules():
        if hasattr(part, "log_dict") and hasattr(part, "training_step"):
            part.log = part.log_dict = _say_nothing  # type: ignore[assignment]
    model.trainer = standin  # type: ignore[assignment]


def _say_nothing(*_: Any, **__: Any) -> None:
    """Instead of `log`."""


def _context(trainer: Trainer) -> contextlib.AbstractContextManager[Any]:
    """That of the trainer's precision; float16 needs its loss scaled, and a rehearsal is in full precision instead."""
    plugin = trainer.precision_plugin
    return contextlib.nullcontext() if getattr(plugin, "scaler", None) is not None else plugin.train_step_context()


def _clip(trainer: Trainer) -> Callable[[Any], object] | None:
    """As the trainer clips gradients. (A module's own `configure_gradient_clipping` is not followed.)"""
    limit = trainer.gradient_clip_val
    if not limit:
        return None
    if str(trainer.gradient_clip_algorithm or "norm").endswith("value"):
        return lambda parameters: nn.utils.clip_grad_value_(parameters, limit)
    return lambda parameters: nn.utils.clip_grad_norm_(parameters, limit)


def _rate_of(module: nn.Module) -> tuple[Any, str]:
    """Where the module keeps its rate: a dictionary and a name in it."""
    for place in (vars(module), getattr(module, "hparams", {})):
        for name in NAMES:
            if name in place:
                return place, name
    raise SettingError(
        f"update=True writes to module.lr or module.learning_rate, and {type(module).__name__} has neither: keep the rate "
        "there (self.lr = lr) and use it in configure_optimizers."
    )


@contextlib.contextmanager
def _as_it_is(module: nn.Module) -> Iterator[None]:
    """The module's gradients, modes and trainer are afterwards what they were."""
    modes = [(part, part.training) for part in module.modules()]
    grads = [(p, p.grad) for p in module.parameters()]
    before = getattr(module, "_trainer", None)
    try:
        yield
    finally:
        module.trainer = before  # type: ignore[assignment]
        for part, mode in modes:
            part.training = mode
        for p, grad in grads:
            p.grad = grad


@contextlib.contextmanager
def _silent(trainer: Trainer) -> Iterator[None]:
    """Loggers are put aside: trying rates is no run of its own."""
    loggers = trainer.loggers
    trainer.loggers = []
    try:
        yield
    finally:
        trainer.loggers = loggers
