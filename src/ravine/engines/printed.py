"""One trial's step as C: the operations that were written down, each printed as loops over memory of a known size.

Shapes are numbers in the text, views cost nothing (a view is another way to walk the same memory), and what lies
between two operations is a few kilobytes that stay in the cache. A gradient is written where the packed buffer wants
it. An operation that is not said here raises CannotPrintError, and the step is run as the list it was.

Letters in shapes: B batch, P parameters of one trial.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from ravine.engines.places import Place, Room, dense, index, merged, mirrored, spread, turned
from ravine.engines.product import panel_room
from ravine.engines.recorded import Results, Writing
from ravine.engines.sentences import COMPARISONS, SENTENCES, WRAPPED

__all__ = ["CannotPrintError", "Printed", "printed"]

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


def printed(
    step: Callable[..., Results], given: Sequence[Tensor], offsets: Sequence[int], shared: Collection[int] = ()
) -> Printed:
    """step(*given) of one trial -> (loss, gradients), as C.

    given: contiguous; those at the positions `shared` are the same of all trials.
    offsets: where in a row of packed gradients each one begins, in numbers.
    Raises CannotPrintError, or CannotRecordError when the step is more than its operations.
    """
    writing = _Keeping(given)
    with writing:
        loss, slopes = step(*given)
    printer = _Printer(writing, shared)
    printer.send(loss, "losses", 0)
    for slope, offset in zip(slopes, offsets, strict=True):
        if slope is None:
            raise CannotPrintError("a parameter has no gradient")
        printer.send(slope, "grads", offset * slope.element_size())
    return printer.run()


class _Keeping(Writing):
    """Keeps every tensor on the way, so that each memory has an address of its own."""

    def __init__(self, given: Sequence[Tensor]) -> None:
        self.tensors: dict[fx.Node, Tensor] = {}
        super().__init__(given)

    def _made(self, tensor: Tensor, node: fx.Node) -> None:
        super()._made(tensor, node)
        self.tensors[node] = tensor.detach()


@dataclass
class _Printer:
    writing: _Keeping
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
            if not self._is_view(node):
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

    def _is_view(self, node: Any) -> bool:
        """Whether an operation only looks at its first argument in another way."""
        if node not in self.tensors or not node.args or not isinstance(node.args[0], fx.Node):
            return False
        name = _name(node)
        changes = name.endswith("_") and not name.endswith("__")
        return (
            not changes and node.args[0] in self.tensors and self.place(node).memory == self.place(node.args[0]).memory
        )

    def say(self, node: Any) -> None:
        """Print one operation."""
        name = _name(node)
        if method := getattr(self, f"say_{name.lstrip('_')}", None):
            method(node)
            return
        base = name[:-1] if name.endswith("_") and not name.endswith("__") else name
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

    def say_clamp(self, node: Any) -> None:
        a, low, high = [*node.args, None, None][:3]
        bounds = [(bound, sign) for bound, sign in ((low, "<"), (high, ">")) if bound is not None]

        def sentence(a: str, *rest: str) -> str:
            for bound, (_, sign) in zip(rest, bounds, strict=True):
                a = f"({a} {sign} {bound} ? {bound} : {a})"
            return a

        self.loops(self.place(node), [a, *(bound for bound, _ in bounds)], sentence)

    def say_pow(self, node: Any) -> None:
        a, power = node.args
        if power not in (1, 2, 3):
            raise CannotPrintError(f"a power of {power!r} is not said in C yet")
        self.loops(self.place(node), [a], lambda a: " * ".join([a] * int(power)))

    def say_arange(self, node: Any) -> None:
        if len(node.args) != 1:
            raise CannotPrintError("arange with a start is not said in C yet")
        out = self.place(node)
        self.nest(out.shape, f"{self.pointer(out)}[i0] = i0;")

    def say_empty(self, node: Any) -> None:
        """Memory as it comes."""

    def say_mm(self, node: Any) -> None:
        self.multiply(self.place(node), *(self.place(a) for a in node.args))

    def say_addmm(self, node: Any) -> None:
        bias, a, b = (self.place(each) for each in node.args)
        if node.kwargs:
            raise CannotPrintError("addmm with factors is not said in C yet")
        out = self.place(node)
        self.multiply(out, a, b)
        self.loops(out, [out, bias], lambda a, b: f"{a} + {b}")

    def multiply(self, out: Place, a: Place, b: Place) -> None:
        """Print out [m, n] = a [m, depth] b [depth, n], either way round, whichever turns fewer numbers."""
        if {out.dtype, a.dtype, b.dtype} != {torch.float32} or out.strides != dense(out.shape):
            raise CannotPrintError(f"a product of {a.dtype} is not said in C yet")
        (m, depth), n = a.shape, b.shape[1]
        straight = m * depth * turned(a) + depth * n * turned(b)
        around = m * n + depth * n * (not turned(b)) + m * depth * (not turned(a) and a.memory not in self.shared)
        self.spare = panel_room(depth)
        if straight <= around:
            self.lines.append(
                f"product({m}, {n}, {depth}, {self.rows_of(a)}, {self.rows_of(b)}, {self.pointer(out)}, (f32 *)panel);"
            )
        else:
            to = self.borrow(m * n)
            left, right = self.rows_of(mirrored(b)), self.rows_of(mirrored(a))
            self.lines.append(f"product({n}, {m}, {depth}, {left}, {right}, {to}, (f32 *)panel);")
            self.lines.append(f"transpose({n}, {m}, {to}, {m}, {self.pointer(out)});")
        self.panel = max(self.panel, self.spare)

    def rows_of(self, matrix: Place) -> str:
        """Where a matrix lies row by row, and how far apart they are: a copy that is turned if need be."""
        rows, columns = matrix.shape
        if not turned(matrix):
            if matrix.strides[1] != 1 and columns != 1:
                raise CannotPrintError("a product of a matrix with gaps is not said in C yet")
            return f"{self.pointer(matrix)}, {matrix.strides[0]}"
        turn = f"transpose({columns}, {rows}, {self.pointer(matrix)}, {matrix.strides[1]}, "
        if matrix.memory not in self.shared:
            to = self.borrow(rows * columns)
            self.lines.append(f"{turn}{to});")
        elif matrix in self.once:
            to = self.once[matrix]
        else:  # what no trial changes is turned once for all
            to = self.once[matrix] = f"(f32 *)(once + {self.once_room})"
            self.once_room += -(-rows * columns * 4 // LINE) * LINE
            self.before.append(f"{turn}{to});")
        return f"{to}, {columns}"

    def borrow(self, numbers: int) -> str:
        """Memory for one statement, beside the panel."""
        start, self.spare = self.spare, self.spare + -(-numbers * 4 // LINE) * LINE
        return f"(f32 *)(panel + {start})"

    def say_sum(self, node: Any, scale: float | None = None) -> None:
        a, out = self.place(node.args[0]), self.place(node)
        if out.dtype != a.dtype:
            raise CannotPrintError(f"a sum of {a.dtype} in {out.dtype} is not said in C yet")
        gone = node.args[1] if len(node.args) > 1 and node.args[1] else range(len(a.shape))
        gone = {d % max(1, len(a.shape)) for d in gone}
        left = iter(out.strides if len(out.shape) < len(a.shape) else [])
        if len(out.shape) == len(a.shape):
            strides = [0 if d in gone else s for d, s in enumerate(out.strides)]
        else:
            strides = [0 if d in gone else next(left) for d in range(len(a.shape))]
        self.loops(out, [], lambda: "0")
        shape, (to, of) = merged(a.shape, [tuple(strides), a.strides])
        self.nest_sum(shape, f"{self.pointer(out)}[{index(to)}]", f"{self.pointer(a)}[{index(of)}]")
        if scale is not None:
            self.loops(out, [out, scale], lambda a, b: f"{a} * {b}")

    def nest_sum(self, shape: Sequence[int], to: str, of: str) -> None:
        for depth, size in enumerate(shape):
            self.lines.append(f"for (i64 i{depth} = 0; i{depth} < {size}; i{depth}++)")
        self.lines.append(f"    {to} += {of};")

    def say_mean(self, node: Any) -> None:
        a, out = self.place(node.args[0]), self.place(node)
        self.say_sum(node, math.prod(out.shape) / math.prod(a.shape))

    def say_log_softmax(self, node: Any) -> None:
        a, out = self.place(node.args[0]), self.place(node)
        rows, wide = self.rows(node.args[1], a, out)
        self.lines.append(f"log_softmax({rows}, {wide}, {self.pointer(a)}, {self.pointer(out)});")

    def say_log_softmax_backward_data(self, node: Any) -> None:
        grad, out, to = self.place(node.args[0]), self.place(node.args[1]), self.place(node)
        rows, wide = self.rows(node.args[2], grad, out, to)
        places = ", ".join(self.pointer(p) for p in (grad, out, to))
        self.lines.append(f"log_softmax_backward({rows}, {wide}, {places});")

    def rows(self, dim: Any, *places: Place) -> tuple[int, int]:
        shape = places[0].shape
        whole = all(p.strides == dense(shape) and p.dtype == torch.float32 for p in places)
        if not whole or dim % len(shape) != len(shape) - 1:
            raise CannotPrintError("log_softmax over another dimension than the last is not said in C yet")
        return math.prod(shape[:-1]), shape[-1]

    def say_nll_loss_forward(self, node: Any) -> None:
        a, y, weight, reduction, ignored = node.args
        logs, targets = self.place(a), self.place(y)
        if weight is not None or reduction != 1 or len(logs.shape) != 2 or logs.dtype != torch.float32:
            raise CannotPrintError("a weighted loss, or one of each example, is not said in C yet")
        outs = {user.args[1]: self.place(user) for user in node.users}
        total, count = (self.pointer(outs[i]) if i in outs else "(f32[1]){0}" for i in (0, 1))
        rows, wide = self.rows(1, logs)
        if not self.names.get(targets.memory, "").startswith("at["):
            raise CannotPrintError("targets that are made on the way are not said in C yet")
        self.checks.append(f"found += outside({rows}, {wide}, {self.pointer(targets)}, {ignored});")
        self.lines.append(
            f"nll({rows}, {wide}, {self.pointer(logs)}, {self.pointer(targets)}, {ignored}, {total}, {count});"
        )

    def say_nll_loss_backward(self, node: Any) -> None:
        grad, a, y, _, _, ignored, count = node.args
        rows, wide = self.rows(1, self.place(a), self.place(node))
        places = ", ".join(self.pointer(self.place(p)) for p in (grad, y, count, node))
        self.lines.append(f"nll_backward({rows}, {wide}, {ignored}, {places});")

    def say_mse_loss(self, node: Any) -> None:
        a, y = self.place(node.args[0]), self.place(node.args[1])
        if len(node.args) > 2 and node.args[2] != 1:
            raise CannotPrintError("a loss of each example is not said in C yet")
        out = self.pointer(self.place(node))
        shape, (one, other) = merged(a.shape, [a.strides, spread(y, a.shape)])
        difference = f"({self.pointer(a)}[{index(one)}] - {self.pointer(y)}[{index(other)}])"
        self.lines.append(f"{out}[0] = 0;")
        self.nest_sum(shape, f"{out}[0]", f"{difference} * {difference}")
        self.lines.append(f"{out}[0] /= {math.prod(a.shape)};")

    def say_mse_loss_backward(self, node: Any) -> None:
        grad, a, y, reduction = node.args
        if reduction != 1:
            raise CannotPrintError("a loss of each example is not said in C yet")
        factor = 2 / math.prod(self.place(a).shape)
        self.loops(self.place(node), [grad, a, y, factor], lambda g, a, y, f: f"{g} * {f} * ({a} - {y})")


def _name(node: Any) -> str:
    """The name alone: add for aten.add.Tensor, add_ for aten.add_.Tensor."""
    return node.target._schema.name.partition("::")[2]  # type: ignore[no-any-return]
