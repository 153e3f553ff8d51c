"""How the operations are said in C that are more than a sentence on single numbers: products, sums, softmax and losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ravine.engines.places import Place, dense, index, merged, mirrored, spread, turned
from ravine.engines.printer import LINE, CannotPrintError, Printer
from ravine.engines.product import panel_room

__all__ = ["Operations"]


class Operations(Printer):
    """A printer that knows them, by their name in aten: `say_NAME` prints one, or raises CannotPrintError."""

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
