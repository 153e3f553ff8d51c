"""The C of a step as it grows: which memory is called what, how long it is needed, and loops over it.

Shapes are numbers in the text, views cost nothing (a view is another way to walk the same memory), and what lies
between two operations is a few kilobytes that stay in the cache. A result is written where the caller wants it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from ravine.engines.places import Place, Room, dense, index, merged, spread
from ravine.engines.recorded import Writing
from ravine.engines.sentences import COMPARISONS, SENTENCES, WRAPPED

__all__ = ["LINE", "CannotPrintError", "Keeping", "Printed", "Printer"]

TYPES = {
    torch.float32: "f32",
    torch.float64: "f64",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.int16: "i16",
    torch.bool: "u8",
}
CONDITIONS = {"where": 0, "masked_fill": 1}  # which argument is a condition
LINE = 64  # bytes, of the cache


class CannotPrintError(Exception):
    """The step has an operation that is not said in C here."""


class Printed(NamedTuple):
    """A trial's step in C."""

    checks: str  # statements that count in `found` what a trial must refuse, over at[i], where each given tensor begins
    before: str  # statements for all trials together, over at[i] and once
    body: str  # statements of a trial, over at[i], losses, grads, once and room
    room: int  # bytes of memory between operations
    once: int  # bytes of what is computed for all trials together
    constants: list[Tensor]  # tensors from outside: at[i] after those that were given


class Keeping(Writing):
    """Keeps every tensor on the way, so that each memory has an address of its own.

    says: whether an operation of this name is said in C; the first that is not ends it, before more is kept.
    """

    def __init__(self, given: Sequence[Tensor], says: Callable[[str], bool]) -> None:
        self.tensors: dict[fx.Node, Tensor] = {}
        self.says = says
        super().__init__(given)

    def _made(self, tensor: Tensor, node: fx.Node) -> None:
        super()._made(tensor, node)
        self.tensors[node] = tensor.detach()
        if node.op == "call_function":
            made: Any = node.args[0] if node.target is operator.getitem else node
            if not self.is_view(made) and not self.says(_name(made)):
                raise CannotPrintError(f"{made.target} is not said in C yet")

    def is_view(self, node: Any) -> bool:
        """Whether an operation only looks at its first argument in another way."""
        first = node.args[0] if node.args else None
        if node not in self.tensors or first not in self.tensors or _name(node) != _base_of(_name(node)):
            return False
        one, other = (self.tensors[each].untyped_storage() for each in (node, first))
        return bool(one._cdata == other._cdata)


@dataclass
class Printer:
    """The C of one step as it grows: where each memory lies, and operations as loops over it.

    What an operation says beyond a sentence on single numbers is a method say_NAME of a class that follows.
    """

    writing: Keeping
    positions: Collection[int]
    lines: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)  # of each memory, the C expression of its first byte
    ends: list[tuple[Place, str]] = field(default_factory=list)  # copies to make after all

    def __post_init__(self) -> None:
        self.tensors = self.writing.tensors
        self.panel = self.spare = self.once_room = 0
        self.before: list[str] = []
        self.checks: list[str] = []
        self.once: dict[Place, str] = {}
        self.shared: set[int] = set()  # memories that are the same for all trials
        nodes = list(self.writing.graph.nodes)
        fixed = [node for node in nodes if node.op in ("placeholder", "get_attr")]
        places = {node: self.place(node) for node in self.tensors}
        for node in fixed:
            self.names[places[node].memory] = ""  # a number is given when constants follow the tensors given
        self.last: dict[int, int] = {}
        for i, node in enumerate(nodes):
            for one in [node, *node.all_input_nodes]:
                if one in places:
                    self.last[places[one].memory] = i
        constants = [node for node in fixed if node.op == "get_attr"]
        for i, node in enumerate([*(n for n in fixed if n.op == "placeholder"), *constants]):
            self.names[places[node].memory] = f"at[{i}]"
            if i in self.positions:
                self.shared.add(places[node].memory)
        self.constants = [self.writing.constants[str(node.target)] for node in constants]

    def place(self, node: Any) -> Place:
        tensor = self.tensors[node]
        if tensor.dtype not in TYPES or tensor.layout is not torch.strided:
            raise CannotPrintError(f"{tensor.dtype} is not said in C yet")
        start = int(tensor.storage_offset()) * tensor.element_size()
        memory = tensor.untyped_storage()._cdata
        return Place(memory, start, tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)

    def send(self, tensor: Tensor, where: str, start: int) -> None:
        """Have a result written to `where`: at once when it has a memory to itself, else by a copy in the end."""
        place = self.place(self.writing.nodes[tensor])
        whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        if whole and place.memory not in self.names and place.start == 0:
            self.names[place.memory] = f"({where} + {start})"
        else:
            self.ends.append((place, f"({where} + {start})"))

    def run(self) -> Printed:
        nodes = list(self.writing.graph.nodes)
        kept = {place.memory for place, _ in self.ends}
        room, held = Room(), dict[int, tuple[int, int]]()
        for i, node in enumerate(nodes):
            if node.op != "call_function" or node.target is operator.getitem:
                continue
            outs = [node] if node in self.tensors else []
            outs += [user for user in node.users if user.target is operator.getitem]
            for out in outs:
                memory = self.place(out).memory
                if memory not in self.names:
                    size = -(-max(1, self.tensors[out].untyped_storage().nbytes()) // LINE) * LINE
                    start = room.take(size)
                    held[memory], self.names[memory] = (start, size), f"(room + {start})"
            if not self.writing.is_view(node):
                self.say(node)
            for memory in [m for m in held if self.last.get(m, i) <= i and m not in kept]:
                room.give(*held.pop(memory))
        for place, where in self.ends:
            whole = Place(-1, 0, place.shape, dense(place.shape), place.dtype)
            self.names[-1] = where
            self.loops(whole, [place], lambda a: a)
        body = f"char *panel = room + {room.top};\n" + "\n".join(self.lines)
        return Printed(
            "\n".join(self.checks), "\n".join(self.before), body, room.top + self.panel, self.once_room, self.constants
        )

    @classmethod
    def says(cls, name: str) -> bool:
        """Whether `say` knows an operation, by its name in aten; of some it may still refuse an argument."""
        base = _base_of(name)
        return base in COMPARISONS or base in SENTENCES or hasattr(cls, f"say_{name.lstrip('_')}")

    def say(self, node: Any) -> None:
        """Print one operation."""
        name = _name(node)
        if method := getattr(self, f"say_{name.lstrip('_')}", None):
            method(node)
            return
        base = _base_of(name)
        out = self.place(node)
        arguments = [a for a in node.args if not isinstance(a, torch.dtype)]
        if base in ("ones_like", "zeros_like", "new_zeros"):
            arguments = arguments[:1]
        if base in COMPARISONS:
            raised = torch.result_type(*(self.tensors.get(a, a) for a in arguments))
            self.loops(out, arguments, lambda a, b: f"{a} {COMPARISONS[base]} {b}", inside=raised)
        elif base in SENTENCES:
            extra = {key: self.number(value, out.dtype) for key, value in node.kwargs.items() if key == "alpha"}
            by = [out.dtype] * len(arguments)
            if base in CONDITIONS:
                by[CONDITIONS[base]] = torch.bool
            self.loops(out, arguments, lambda *each: SENTENCES[base](*each, **extra), by=by, wrap=base in WRAPPED)
        else:
            raise CannotPrintError(f"{node.target} is not said in C yet")

    def number(self, value: Any, dtype: torch.dtype) -> str:
        if not isinstance(value, bool | int | float):
            raise CannotPrintError(f"{value!r} is not said in C yet")
        if dtype.is_floating_point:
            value = float(value)
            text = {math.inf: "INFINITY", -math.inf: "-INFINITY"}.get(value, "NAN" if value != value else repr(value))
        else:
            text = f"{int(value)}ll"
        return f"({TYPES[dtype]})({text})"

    def pointer(self, place: Place, dtype: torch.dtype | None = None) -> str:
        return f"(({TYPES[dtype or place.dtype]} *)({self.names[place.memory]} + {place.start}))"

    def loops(
        self,
        out: Place,
        arguments: Sequence[Any],
        sentence: Callable[..., str],
        *,
        inside: torch.dtype | None = None,
        by: Sequence[torch.dtype] | None = None,
        wrap: bool = False,
    ) -> None:
        """out[...] = sentence(arguments[...]), number by number; arguments are places, nodes or plain numbers.

        inside: the type computed in, that of `out` unless said; by: one for each argument.
        """
        inside = inside or out.dtype
        types = by or [inside] * len(arguments)
        operands = [self.place(a) if isinstance(a, fx.Node) else a for a in arguments]
        places = [out, *(a for a in operands if isinstance(a, Place))]
        shape, strides = merged(out.shape, [spread(place, out.shape) for place in places])
        at = [f"{self.pointer(p)}[{index(s)}]" for p, s in zip(places, strides, strict=True)]
        left, words = iter(at[1:]), []
        for operand, dtype in zip(operands, types, strict=True):
            word = f"({TYPES[dtype]}){next(left)}" if isinstance(operand, Place) else self.number(operand, dtype)
            words.append(f"({f'(u64)({word})' if wrap and dtype == torch.int64 else word})")
        said = sentence(*words)
        said = f"({said}) != 0" if out.dtype == torch.bool else f"({TYPES[out.dtype]})({said})"
        self.nest(shape, f"{at[0]} = {said};")

    def nest(self, shape: Sequence[int], statement: str) -> None:
        """A statement over all indices i0, i1, ... of a shape."""
        for depth, size in enumerate(shape):
            if depth == len(shape) - 1:
                self.lines.append("#pragma GCC ivdep")
            self.lines.append(f"for (i64 i{depth} = 0; i{depth} < {size}; i{depth}++)")
        self.lines.append(f"    {statement}")


def _name(node: Any) -> str:
    """The name alone: add for aten.add.Tensor, add_ for aten.add_.Tensor."""
    return node.target._schema.name.partition("::")[2]  # type: ignore[no-any-return]


def _base_of(name: str) -> str:
    """The name of the operation that one in place is a form of: add for add_."""
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name
