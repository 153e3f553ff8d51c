"""A population of one whose weights are divided among processes, for a model that does not fit: torch's fully_shard.

Each process holds a part of every weight, of its gradient and of the rule's state, and sees all weights of a layer
only while the layer runs. The parts are packed and stepped as a population's weights are, which an elementwise rule
cannot tell from the whole. A state is written whole, so that it is one of any number of processes.

Letters in shapes: P parameters of the model, p of them here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from ravine.engines import Layout, Loss, StepRecord
from ravine.engines.constraints import Constraints
from ravine.engines.one_by_one import Habits
from ravine.engines.stack import Stack
from ravine.engines.stacking import stack_rules
from ravine.engines.updates import PackedUpdate
from ravine.rules import Rule
from ravine.training.shared.population import SharedPopulation

__all__ = ["ShardedPopulation", "divided"]

UNIT = 1_000_000
"""Parameters that are gathered at once, at least: smaller layers are taken together."""


def divided(module: nn.Module, mesh: Any) -> nn.Module:
    """Divide the weights among the processes of a mesh, in place: what Fabric's strategy asks for."""
    for child in reversed(list(module.modules())[1:]):  # from the leaves up: what is taken is not taken again
        own = sum(param.numel() for param in child.parameters() if not isinstance(param, DTensor))
        if own >= UNIT and not isinstance(child, nn.ModuleList | nn.ModuleDict):
            fully_shard(child, mesh=mesh["data_parallel"], reshard_after_forward=True)
    fully_shard(module, mesh=mesh["data_parallel"], reshard_after_forward=True)
    return module


class Shards(Stack):
    """As a `Stack` of one module, over the parts of its weights that are here.

    What torch holds of them is copied to packed memory once, and back after every step.
    """

    def __init__(self, module: nn.Module, whole: Layout, buffers: Mapping[str, Tensor]) -> None:
        self.modules, self.whole, self.buffers, self.frozen = [module], whole, dict(buffers), {}
        named = dict(module.named_parameters())
        self.divided: dict[str, Any] = {name: named[name] for name in whole.shapes}
        here = {name: param.to_local().shape for name, param in self.divided.items()}
        self.layout = dataclasses.replace(whole, shapes=here)
        device = next(iter(self.divided.values())).to_local().device
        self.flat = torch.empty(1, self.layout.size, dtype=whole.dtype, device=device)
        self._attach()

    def _attach(self) -> None:
        super()._attach()
        self.take()

    def _point(self, k: int) -> None:
        """Parameters stay where torch has them."""

    @torch.no_grad()
    def take(self) -> None:
        """Copy the weights from where torch has them."""
        for name, view in self.layout.views(self.flat).items():
            view[0].copy_(self.divided[name].to_local())

    @torch.no_grad()
    def give(self) -> None:
        """Copy the weights to where torch has them."""
        for name, view in self.layout.views(self.flat).items():
            self.divided[name].to_local().copy_(view[0])

    def gather(self, slopes: Sequence[Tensor | None], k: int | None = None) -> None:
        super().gather([None if slope is None else slope.to_local() for slope in slopes], k)  # type: ignore[attr-defined]

    def joined(self, packed: Tensor, names: Sequence[str]) -> Tensor:
        """Of these parameters, all numbers from the parts that every process has packed, [1, p] -> [1, P]. Collective."""
        found, start = [], 0
        for name in names:
            like, count = self.divided[name], self.layout.shapes[name].numel()
            local = packed[0, start : start + count].view(self.layout.shapes[name])
            placed = {"shape": like.shape, "stride": like.stride()}
            found.append(DTensor.from_local(local, like.device_mesh, like.placements, **placed).full_tensor().flatten())
            start += count
        return torch.cat(found).unsqueeze(0) if found else packed.new_empty(1, 0)

    def parted(self, packed: Tensor, names: Sequence[str]) -> Tensor:
        """The other way: what is here of all numbers, [1, P] -> [1, p]. Collective."""
        found, start = [packed.new_empty(0, device=self.flat.device)], 0
        for name in names:
            like, count = self.divided[name], self.whole.shapes[name].numel()
            full = packed[0, start : start + count].view(self.whole.shapes[name]).to(self.flat.device)
            found.append(distribute_tensor(full, like.device_mesh, like.placements).to_local().flatten())
            start += count
        return torch.cat(found).unsqueeze(0)

    @property
    def names(self) -> list[list[str]]:
        """Those of the parameters that decay, and of the others, in packed order."""
        return [
            [name for name in self.whole.shapes if (name in self.whole.decaying) is decays] for decays in (True, False)
        ]

    def snapshot(self) -> dict[str, Any]:
        return {"flat": self.joined(self.flat, list(self.whole.shapes)), "buffers": self.buffers}

    def restore(self, saved: Mapping[str, Any]) -> None:
        super().restore({**saved, "flat": self.parted(saved["flat"], list(self.whole.shapes))})
        self.give()

    def state(self, k: int) -> dict[str, Tensor]:
        """As a stack's, of the whole model. Collective."""
        found = self.modules[k].state_dict()
        return {name: (t.full_tensor() if isinstance(t, DTensor) else t).detach().clone() for name, t in found.items()}


class ShardedPopulation(SharedPopulation):
    """One module under one elementwise rule, each weight divided among the processes of a team.

    The module that is given holds all its weights, once.
    """

    stack: Shards
    update: PackedUpdate

    def __init__(self, modules: Sequence[nn.Module], rules: Sequence[Rule], loss: Loss, **more: Any) -> None:
        super().__init__(modules, rules, loss, **more)
        module, layout, buffers = self.stack.modules[0], self.stack.layout, self.stack.buffers
        for param in module.parameters():
            param.data = param.data.clone()  # out of the packed memory, which goes
        self._wrapped = self.team.wrapped(module)
        self.stack = Shards(module, layout, buffers)
        self.update = PackedUpdate(stack_rules(rules, self.device), self.stack.layout, self.stack.flat)
        penalties, proximal = more.get("penalties"), more.get("proximal", False)
        self.constraints = Constraints(
            module, self.stack.layout, 1, penalties=penalties, proximal=proximal, limits=None
        )

    def _look(self, x: Tensor) -> Habits:  # noqa: ARG002
        """Whatever it may do: memory cannot be looked at where it comes and goes."""
        return Habits(draws=True, rebinds=True)

    def _move(self, losses: Tensor, lr: Sequence[float]) -> StepRecord:
        record = super()._move(losses, lr)
        self.stack.give()
        return record

    def _length(self, packed: Tensor) -> Tensor:
        return self.team.summed(super()._length(packed).square()).sqrt()

    def keep(self, index: Sequence[int]) -> None:
        """There is one trial, and it is kept."""
        assert list(index) == [0]

    def snapshot(self) -> dict[str, Any]:
        """As a population's, of the whole model. Collective."""
        whole = [
            [t if t is None else self.stack.joined(t, names) for t in state]
            for names, state in zip(self.stack.names, self.update.states, strict=True)
        ]
        return {**super().snapshot(), "update": whole}

    def restore(self, saved: Mapping[str, Any]) -> None:
        here = [
            [t if t is None else self.stack.parted(t, names) for t in state]
            for names, state in zip(self.stack.names, saved["update"], strict=True)
        ]
        super().restore({**saved, "update": here})
