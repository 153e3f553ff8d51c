"""K modules of one structure over shared packed buffers.

Each module's parameters are views of its row of `flat`, [K, P]; the same memory seen as `leaves`, [K, *shape], is
what vmap maps over. So both engines see one truth. Gradients gather in `grads`, [K, P].

Letters in shapes: K trials, P parameters of one trial.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ravine.engines.packing import Layout
from ravine.errors import ModelError
from ravine.regularization import noises

__all__ = ["Stack"]


class Stack:
    """The memory of a population. The modules given are taken over, not copied."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        if not modules:
            raise ModelError("a population needs at least one module, got none.")
        self.modules = list(modules)
        self.layout = Layout.of(modules[0])
        params = next(p for p in modules[0].parameters() if p.requires_grad)
        self.flat = torch.empty(len(modules), self.layout.size, dtype=self.layout.dtype, device=params.device)
        for row, module in zip(self.flat, modules, strict=True):
            row.copy_(self._row(module))
        self.buffers = {
            name: torch.stack([dict(module.named_buffers())[name] for module in modules])
            for name, _ in modules[0].named_buffers()
        }
        self.frozen = {
            name: torch.stack([dict(module.named_parameters())[name].detach() for module in modules])
            for name, param in modules[0].named_parameters()
            if not param.requires_grad
        }
        self._attach()

    def __len__(self) -> int:
        return len(self.modules)

    def _row(self, module: nn.Module) -> Tensor:
        """One module's trainable parameters in packed order, [P]."""
        if _structure(module) != _structure(self.modules[0]):
            raise ModelError(
                "stacked modules differ in the names, shapes or dtypes of their parameters or buffers, or in which are "
                "frozen; give each structure its own population."
            )
        params = dict(module.named_parameters())
        return torch.cat([params[name].detach().reshape(-1) for name in self.layout.shapes])

    def _attach(self) -> None:
        """Point leaves, parameters and buffers at the packed memory."""
        self.grads = torch.empty_like(self.flat)  # takes no memory until an engine writes it
        self.slopes = self.layout.views(self.grads)
        self.params: list[list[nn.Parameter]] = []  # of each module, in packed order
        self.leaves = {name: view.detach().requires_grad_() for name, view in self.layout.views(self.flat).items()}
        for k, module in enumerate(self.modules):
            named = dict(module.named_parameters())
            self.params.append([named[name] for name in self.leaves])
            self._point(k)
        self.bind()
        self._noises = [name for name, _ in noises(self.modules[0])]
        drawn = {f"{name}.{each}" if name else each for name in self._noises for each in ("p", "seed", "step")}
        self._moving = [buffer for name, buffer in self.buffers.items() if name not in drawn]
        self._marked = [buffer.clone() for buffer in self._moving]
        idle = {name: not self._setting(name, "p").any() for name in self._noises}
        for module in self.modules:
            for name, layer in noises(module):
                layer.idle = idle[name]

    def _point(self, k: int) -> None:
        """Point the parameters of a module at the packed memory."""
        for param, leaf in zip(self.params[k], self.leaves.values(), strict=True):
            param.data = leaf.detach()[k]

    def bind(self) -> None:
        """Point every module's buffers at the stacked memory."""
        for k, module in enumerate(self.modules):
            for name, stacked in self.buffers.items():
                owner, _, last = name.rpartition(".")
                module.get_submodule(owner)._buffers[last] = stacked[k]

    def gather(self, slopes: Sequence[Tensor | None], k: int | None = None) -> None:
        """Copy gradients in packed order into `grads`: of trial k, [*shape], or of all, [K, *shape]. None is zero."""
        for view, slope in zip(self.slopes.values(), slopes, strict=True):
            here = view if k is None else view[k]
            here.zero_() if slope is None else here.copy_(slope)

    @torch.no_grad()
    def collect(self, k: int) -> None:
        """Copy the buffers that trial k's forward assigned anew into the stacked memory, and point there again."""
        for name, stacked in self.buffers.items():
            owner, _, last = name.rpartition(".")
            here = self.modules[k].get_submodule(owner)._buffers
            stacked[k].copy_(here[last])  # type: ignore[arg-type]
            here[last] = stacked[k]

    def set_step(self, step: int) -> None:
        """Tell every layer that drops something which step it is: its mask is a function of it."""
        for name in self._noises:
            self._setting(name, "step").fill_(step)

    @torch.no_grad()
    def mark(self) -> None:
        """Note the buffers that a forward may change (batch norm's), so that `undo` can take a step back that raised."""
        if self._moving:
            torch._foreach_copy_(self._marked, self._moving)

    @torch.no_grad()
    def undo(self) -> None:
        """The buffers as they were at the last `mark`, and every gradient that was left lying about gone."""
        if self._moving:
            torch._foreach_copy_(self._moving, self._marked)
        for param in (param for params in self.params for param in params):
            param.grad = None
        self.bind()

    def _setting(self, layer: str, name: str) -> Tensor:
        """A buffer of a layer that drops something, [K]."""
        return self.buffers[f"{layer}.{name}" if layer else name]

    def keep(self, index: Tensor) -> None:
        """Forget all trials but `index`, [k] int64, and give their memory back."""
        self.modules = [self.modules[k] for k in index.tolist()]
        self.flat = self.flat[index]
        self.buffers = {name: stacked[index] for name, stacked in self.buffers.items()}
        self.frozen = {name: stacked[index] for name, stacked in self.frozen.items()}
        self._attach()

    def part(self, start: int, stop: int, *, grads: Tensor | None = None) -> Stack:
        """The trials from `start` to before `stop`, fewer when there are fewer, over the same memory.

        Not to be trained on its own. grads: memory for their gradients, [stop - start, P], where it is not the same.
        """
        part, cut = copy.copy(self), slice(start, stop)
        part.modules, part.params = self.modules[cut], self.params[cut]
        part.flat, part.grads = self.flat[cut], self.grads[cut] if grads is None else grads
        part.slopes = self.layout.views(part.grads)
        part.leaves = {name: leaf.detach()[cut].requires_grad_() for name, leaf in self.leaves.items()}
        part.buffers = {name: stacked[cut] for name, stacked in self.buffers.items()}
        part.frozen = {name: stacked[cut] for name, stacked in self.frozen.items()}
        return part

    def snapshot(self) -> dict[str, Any]:
        """Parameters and buffers of all trials: the memory in use, so write it down before the next step."""
        return {"flat": self.flat, "buffers": self.buffers}

    @torch.no_grad()
    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from the snapshot of a stack of as many modules of this structure."""
        self.flat.copy_(saved["flat"])
        for name, stacked in self.buffers.items():
            stacked.copy_(saved["buffers"][name])

    def state(self, k: int) -> dict[str, Tensor]:
        """A copy of trial k's state_dict: plain tensors that share nothing with training."""
        return {name: value.detach().clone() for name, value in self.modules[k].state_dict().items()}


def _structure(module: nn.Module) -> dict[str, tuple[torch.Size, torch.dtype, bool]]:
    """What modules must share to be stacked: names, shapes, dtypes and which of them learn."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: (tensor.shape, tensor.dtype, tensor.requires_grad) for name, tensor in named}
