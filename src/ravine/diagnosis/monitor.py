"""A loop that a person wrote, watched by hooks while it trains.

Most steps are only counted. Some are looked at closely: before such a step hooks are put on the model's layers and on a
few parameters, and after it they are taken off again, so that the steps between cost what they cost without a monitor.
Nothing of the training is changed: no random number is drawn, and no tensor of the person's is written to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from ravine.diagnosis.close_look import CloseLook
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.loops import judged
from ravine.diagnosis.watched import Watched

__all__ = ["Monitor"]

FIRST = (1, 2, 3, 10, 30, 100, 300)
"""Steps at the beginning that are looked at, besides every so many: most mistakes show at once."""

GRAPHS = 3
"""So many losses have their graph read: a loop has one."""


class Monitor:
    """Watches the training of a model by an optimizer, or by several.

    every: one step in so many is looked at closely, besides a few at the beginning (1, 2, 3, 10, 30, 100 and 300). on_finding: called
    with every finding that becomes an alarm, once for each fault, at the end of the step that showed it.

        monitor = Monitor(model, optimizer)
        for x, y in batches:
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            with monitor.step(loss):  # or, in one line before loss.backward(): monitor.watch(loss)
                loss.backward()
                optimizer.step()
        print(*monitor.findings(), sep="\\n")

    Without either of these lines it sees what needs no loss: gradients that are not cleared, parameters that nothing trains,
    the mode of the model, dead units. A model in parts is given as one module (`nn.ModuleList([encoder, decoder])`).
    `close`, or leaving `with Monitor(...) as monitor`, takes its hooks away.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
        *,
        every: int = 1000,
        on_finding: Callable[[Finding], None] | None = None,
    ) -> None:
        if every < 1:
            raise ValueError(f"every is {every}; it must be 1 or more: the steps from one close look to the next.")
        self.model, self.every, self.on_finding = model, every, on_finding
        self._optimizers = [optimizer] if isinstance(optimizer, torch.optim.Optimizer) else list(optimizer)
        self._watched = Watched()
        self._pending: list[Tensor | float] = []  # losses not read yet: on a GPU reading one waits for it
        self._told: set[str] = set()
        self._look: CloseLook | None = None
        self._counting = self._optimizers[0].register_step_post_hook(self._after)
        self._open()

    def watch(self, loss: Tensor | float) -> None:
        """Tell the loss of a step, before its backward."""
        if not isinstance(loss, Tensor):
            self._pending.append(loss)
            return
        self._pending.append(
            loss.item() if loss.is_cpu else loss.detach()
        )  # kept tensors would cost the loop its cache
        if self._look is not None and loss.requires_grad and len(self._watched.graphs) < GRAPHS:
            self._watched.graphs.append(self._look.read(loss))

    def step(self, loss: Tensor | float) -> _Step:
        """A context for `loss.backward()` and `optimizer.step()`."""
        self.watch(loss)
        return _STEP

    @property
    def steps(self) -> int:
        """Steps that the first optimizer has taken since the monitor was made."""
        return self._watched.steps

    def findings(self) -> list[Finding]:
        """What was found so far, the root first; empty where nothing was."""
        self._read()
        return judged(self._watched)

    def close(self) -> None:
        """Take all hooks away; what was found stays."""
        self._counting.remove()
        if self._look is not None:
            self._look.close()
            self._look = None

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        sights = self._watched.sights
        self._look = CloseLook(self.model, self._optimizers, curious=bool(sights and sights[-1].without))

    def _after(self, *_: Any) -> None:
        watched, look = self._watched, self._look
        watched.steps += 1
        if look is not None:
            watched.see(look.after(watched))
            self._look = None
            self._read()
            self._tell()
        following = watched.steps + 1
        if following % self.every == 0 or following in FIRST:
            self._open()

    def _read(self) -> None:
        if self._pending:
            waiting = [loss.reshape(()).float() for loss in self._pending if isinstance(loss, Tensor)]
            read = iter(torch.stack(waiting).tolist() if waiting else [])
            self._watched.hear([next(read) if isinstance(loss, Tensor) else loss for loss in self._pending])
            self._pending.clear()

    def _tell(self) -> None:
        if self.on_finding is None:
            return
        for finding in judged(self._watched):
            if finding.alarm and finding.fault not in self._told:
                self._told.add(finding.fault)
                self.on_finding(finding)


class _Step:
    """What `Monitor.step` gives: the loss is known, and the optimizer's own hooks see the rest."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


_STEP = _Step()
