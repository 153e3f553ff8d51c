"""A stacked step written down as a flat list of operations, and run from the list from then on.

vmap and autograd work out the same operations at every step, which for a small model takes longer than the
operations themselves. The list holds the same ones in the same order, forward and backward, so every number stays
what it was. It is compared with the stacked step at its first steps; a model that Python or a hook takes part in
is stacked afresh every time, and so is a batch of another shape.

Letters in shapes: K trials, B batch.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from ravine.engines.loss import Loss
from ravine.engines.ownership import Own
from ravine.engines.provisional import CHECKS, CannotRecordError, Provisional, alike, only_operations
from ravine.engines.stack import Stack
from ravine.engines.stacked import losses_and_slopes, stacked_losses

__all__ = ["Recorder", "Results", "Writing"]

AS_IT_WAS = (
    torch.ops.aten.view.default,
    torch.ops.aten._unsafe_view.default,
    torch.ops.aten.expand.default,
    torch.ops.aten.detach.default,
)
"""Operations that may give their input back as it was."""

Results = tuple[Tensor, Sequence[Tensor | None]]
"""Losses [K], and gradients by the leaves in their order."""


class Recorder(Provisional):
    """The steps of stacks of one structure and size, from a list as soon as there is one."""

    def __init__(self, loss: Loss, checks: int = CHECKS) -> None:
        super().__init__(checks)
        self.loss = loss
        self._kind: object = None
        self._list: Callable[..., Results] | None = None

    def losses(self, stack: Stack, x: Tensor, y: Tensor, *, own: Own) -> Tensor:
        """Losses of one batch, [K]; gradients land in `stack.grads`."""
        kind = (len(stack), _layout(x), _layout(y), own)
        if self._kind is None:
            self._kind = kind
            if not self.refusal:
                self._record(stack, x, y, own)
        if self._list is None or kind != self._kind:
            return stacked_losses(stack, self.loss, x, y, own=own)
        if self._doubtful:
            return self._compared(stack, x, y, own)
        losses, slopes = self._list(*_tensors(stack), x, y)
        stack.gather(slopes)
        return losses

    def _record(self, stack: Stack, x: Tensor, y: Tensor, own: Own) -> None:
        """Write a step down, or say in `refusal` why it cannot be. The stack's tensors are left as they were."""
        module = stack.modules[0]
        names = [*stack.leaves, *stack.frozen, *stack.buffers]

        def step(*given: Tensor) -> Results:
            return losses_and_slopes(stack, self.loss, dict(zip(names, given[:-2], strict=True)), *given[-2:], own=own)

        try:
            with only_operations(module):
                self._list = written_down(step, [*_copies(stack), x, y])
        except Exception as refusal:  # a forward may do anything; the stacked step is there for what a list is not
            self._give_up(refusal)

    def _give_up(self, why: Exception) -> None:
        self._list, self.refusal = None, str(why) or type(why).__name__

    def _compared(self, stack: Stack, x: Tensor, y: Tensor, own: Own) -> Tensor:
        """A stacked step; the list is given up when it comes to something else."""
        assert self._list is not None
        self._doubtful -= 1
        copies = _copies(stack)
        losses = stacked_losses(stack, self.loss, x, y, own=own)
        try:
            listed, slopes = self._list(*copies, x, y)
        except Exception as failure:  # an operation that fits the first batch alone
            self._give_up(failure)
            return losses
        gradients = zip(slopes, stack.slopes.values(), strict=True)
        pairs = [(listed, losses), *((s, view) for s, view in gradients if s is not None)]
        if not all(alike(*pair) for pair in [*pairs, *zip(copies, _tensors(stack), strict=True)]):
            name = type(stack.modules[0]).__name__
            self._give_up(CannotRecordError(f"{name} does not do the same at every step"))
        return losses


def written_down(step: Callable[..., Results], given: Sequence[Tensor]) -> Callable[..., Results]:
    """The operations of step(*given) as a function of tensors like `given`.

    Raises CannotRecordError when a number leaves the tensors on the way, for what follows may depend on it.
    """
    writing = Writing(given)
    with writing:
        results = step(*given)
    writing.graph.output(tree_map_only(Tensor, lambda tensor: writing.nodes[tensor], results))
    _shorten(writing.graph, writing.layouts)
    return torch.no_grad()(fx.GraphModule(writing.constants, writing.graph))


class Writing(TorchDispatchMode):
    """Writes every operation that reaches the tensors into a graph."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would otherwise load its compiler at the first operation, which takes one to two seconds."""
        return False

    def __init__(self, given: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = fx.Graph()
        self.nodes = WeakTensorKeyDictionary()  # the node that made a tensor
        self.layouts: dict[fx.Node, object] = {}
        self.constants: dict[str, Tensor] = {}
        for i, tensor in enumerate(given):
            self._made(tensor, self.graph.placeholder(f"given_{i}"))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten.lift_fresh.default:
            func = torch.ops.aten.clone.default  # a constant of the forward, which may change it: each step has its own
        found = func(*args, **kwargs)
        made = found if isinstance(found, tuple | list) else (found,)
        if not all(isinstance(each, Tensor) or each is None for each in made):
            raise CannotRecordError(f"{func} takes a number out of a tensor")
        before, named = tree_map_only(Tensor, self._node, (args, kwargs))
        node = self.graph.call_function(func, before, named)
        for i, each in enumerate(made):
            if each is not None:
                here = self.graph.call_function(operator.getitem, (node, i)) if made is found else node
                self._made(each, here)
        return found

    def _made(self, tensor: Tensor, node: fx.Node) -> None:
        self.nodes[tensor] = node
        self.layouts[node] = _layout(tensor)

    def _node(self, tensor: Tensor) -> fx.Node:
        """The node that made a tensor; one from outside becomes a constant."""
        if tensor not in self.nodes:
            name = f"constant_{len(self.constants)}"
            self.constants[name] = tensor.detach()
            self._made(tensor, self.graph.get_attr(name))
        return self.nodes[tensor]  # type: ignore[no-any-return]


def _shorten(graph: fx.Graph, layouts: dict[fx.Node, object]) -> None:
    """Leave out the operations that give their input back as it was."""
    for node in list(graph.nodes):
        if node.target in AS_IT_WAS and layouts[node] == layouts[node.args[0]]:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def _layout(tensor: Tensor) -> object:
    return tensor.shape, tensor.stride(), tensor.dtype


def _tensors(stack: Stack) -> list[Tensor]:
    return [*stack.leaves.values(), *stack.frozen.values(), *stack.buffers.values()]


def _copies(stack: Stack) -> list[Tensor]:
    """The same tensors in other memory, laid out alike: a list is one of views and strides."""
    leaves = stack.layout.views(stack.flat.clone())
    others = [*stack.frozen.values(), *stack.buffers.values()]
    return [*leaves.values(), *(tensor.clone(memory_format=torch.preserve_format) for tensor in others)]
