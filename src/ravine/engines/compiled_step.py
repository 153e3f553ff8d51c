"""The step of K trials as one call of compiled C: each trial from its batch to its moved weights while they are in the cache.

The stacked step goes over all trials operation by operation, and everything between two operations goes through
memory. Here a thread takes a trial, runs its forward and backward, moves its weights by the rule and takes the next.
A trial's numbers depend on nothing but itself, so they are the same bits alone, in any stack, and on any number of
threads.

Letters in shapes: K trials, B batch, P parameters of one trial.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call

from ravine.engines.compiler import load
from ravine.engines.loss import Loss
from ravine.engines.ownership import Own
from ravine.engines.printed import printed
from ravine.engines.printer import CannotPrintError
from ravine.engines.product import PRODUCT
from ravine.engines.recorded import Results
from ravine.engines.sentences import BY_TYPE
from ravine.engines.stack import Stack

__all__ = ["CompiledStep", "Move", "Norms"]

CONTRACT = "-ffp-contract=fast"
"""A product and a sum are one operation where the processor has it: twice as fast, and rounded once."""

HEAD = """\
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#else
#define omp_get_thread_num() 0
#endif
typedef float f32 __attribute__((may_alias));
typedef double f64 __attribute__((may_alias));
typedef int64_t i64 __attribute__((may_alias));
typedef uint64_t u64 __attribute__((may_alias));
typedef int32_t i32 __attribute__((may_alias));
typedef int16_t i16 __attribute__((may_alias));
typedef uint8_t u8 __attribute__((may_alias));
#define EXP(x) _Generic((x), float: exponential, default: exp)(x)
"""

FUNCTIONS = """\
/* e^x to 2e-7 of itself, written so that loops over it become vectors: x = n log 2 + r, and a polynomial in r. Below
   -87 it is 0, above 88.3 infinite. Source: Cephes, Moshier 1989. */
INLINE float exponential(float x)
{
    const float low = x < -87.0f ? -87.0f : x, in = low > 88.3f ? 88.3f : low;
    const float n = rintf(in * 1.44269504f), r = in - n * 0.693359375f + n * 2.12194440e-4f;
    const float p = ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r
                     + 1.6666665459e-1f) * r + 5.0000001201e-1f;
    const union { int32_t bits; float value; } power = {((int32_t)n + 127) << 23};
    const float found = (p * r * r + r + 1) * power.value;
    return x < -87.0f ? 0 : x > 88.3f ? INFINITY : x != x ? x : found;
}

static void log_softmax(i64 rows, i64 wide, const f32 *a, f32 *out)
{
    for (i64 i = 0; i < rows; i++, a += wide, out += wide) {
        float most = -INFINITY, sum = 0;
        for (i64 j = 0; j < wide; j++) most = a[j] > most || a[j] != a[j] ? a[j] : most;
        for (i64 j = 0; j < wide; j++) out[j] = exponential(a[j] - most);
        for (i64 j = 0; j < wide; j++) sum += out[j];
        const float shift = most + logf(sum);
        for (i64 j = 0; j < wide; j++) out[j] = a[j] - shift;
    }
}

static void log_softmax_backward(i64 rows, i64 wide, const f32 *grad, const f32 *out, f32 *to)
{
    for (i64 i = 0; i < rows; i++, grad += wide, out += wide, to += wide) {
        float sum = 0;
        for (i64 j = 0; j < wide; j++) sum += grad[j];
        for (i64 j = 0; j < wide; j++) to[j] = grad[j] - exponential(out[j]) * sum;
    }
}

static i64 outside(i64 rows, i64 wide, const i64 *y, i64 ignored)
{
    i64 found = 0;
    for (i64 i = 0; i < rows; i++) found += (y[i] < 0 || y[i] >= wide) && y[i] != ignored;
    return found;
}

static void nll(i64 rows, i64 wide, const f32 *logs, const i64 *y, i64 ignored, f32 *total, f32 *count)
{
    float sum = 0, rest = 0;
    for (i64 i = 0; i < rows; i++)
        if (y[i] != ignored) sum -= logs[i * wide + y[i]], rest += 1;
    *total = sum / rest;
    *count = rest;
}

static void nll_backward(i64 rows, i64 wide, i64 ignored, const f32 *grad, const i64 *y, const f32 *count, f32 *to)
{
    memset(to, 0, 4 * rows * wide);
    for (i64 i = 0; i < rows; i++)
        if (y[i] != ignored) to[i * wide + y[i]] = -*grad / *count;
}

static float norm(i64 n, const f32 *a)
{
    float sums[64] = {0}, sum = 0;
    for (i64 i = 0; i + 64 <= n; i += 64)
        for (i64 j = 0; j < 64; j++) sums[j] += a[i + j] * a[i + j];
    for (i64 i = n / 64 * 64; i < n; i++) sum += a[i] * a[i];
    for (i64 j = 0; j < 64; j++) sum += sums[j];
    return sqrtf(sum);
}
"""

TAIL = """\
struct move {{  /* how the weights follow their gradients; see CompiledRule.rows */
    void (*rows)(i64 tensors, const i64 *sizes, const double *by, i64 stride, f32 **change, f32 ***of);
    i64 decayed, stride, fields;
    const double *by;
    f32 *norms;  /* of the weights before, of the gradients and of the change, trial after trial */
    f32 *const *base;  /* of the weights, the gradients (of which there are none) and each field of the state */
}};

static void advance(const struct move *move, i64 k, f32 *grads, f32 *change)
{{
    const i64 sizes[2] = {{move->decayed, {numbers} - move->decayed}};
    f32 *parts[8][2], **of[8], *changes[2] = {{change, change + move->decayed}};
    for (i64 i = 0; i < move->fields; i++) {{
        parts[i][0] = i == 1 ? grads : move->base[i] + k * {numbers};
        parts[i][1] = parts[i][0] + move->decayed;
        of[i] = parts[i];
    }}
    f32 *norms = move->norms + 3 * k;
    norms[0] = norm({numbers}, parts[0][0]);
    norms[1] = norm({numbers}, grads);
    move->rows(2, sizes, move->by + 2 * k * move->stride, move->stride, changes, of);
    norms[2] = norm({numbers}, change);
}}

/* Whether a trial's targets are classes that there are: looked at before anything moves. */
static i64 strays(char *const *at)
{{
    i64 found = 0;
{checks}
    return found;
}}

static void before(char *const *at, char *once)
{{
{before}
}}

static void trial(char *const *at, char *losses, char *grads, char *once, char *room)
{{
{body}
}}

i64 run(i64 trials, i64 threads, i64 tensors, char *const *base, const i64 *apart, char *losses, char *grads,
         char *once, char *rooms, const struct move *move)
{{
    for (i64 k = 0, found; k < trials; k++) {{
        char *at[{tensors}];
        for (i64 i = 0; i < {tensors}; i++) at[i] = base[i] + k * apart[i];
        if ((found = strays(at))) return found;
    }}
    before(base, once);
    #pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (i64 k = 0; k < trials; k++) {{
        char *at[{tensors}], *room = rooms + omp_get_thread_num() * {room}ll;
        for (i64 i = 0; i < {tensors}; i++) at[i] = base[i] + k * apart[i];
        char *slopes = move ? room + {change} + {padded} : grads + k * {row};
        trial(at, losses + 4 * k, slopes, once, room);
        if (move) advance(move, k, (f32 *)slopes, (f32 *)(room + {change}));
    }}
    return 0;
}}
"""


class Move(NamedTuple):
    """How a compiled rule moves K trials: the weights that decay, and the others, each by numbers of their own."""

    rows: int  # address of `CompiledRule.rows`
    decayed: int  # numbers at the start of a row that decay
    by: Tensor  # [2K, 1 + C] float64: the sign of the gradient and the rule's numbers, of both parts of each trial
    fields: Sequence[Tensor]  # weights, gradients and what the state holds, each [K, P]


class Norms(NamedTuple):
    """Euclidean norms over all parameters, each [K]."""

    before: Tensor  # of the weights
    grads: Tensor
    change: Tensor


class _Move(ctypes.Structure):
    _fields_ = [
        ("rows", ctypes.c_void_p),
        ("decayed", ctypes.c_int64),
        ("stride", ctypes.c_int64),
        ("fields", ctypes.c_int64),
        ("by", ctypes.c_void_p),
        ("norms", ctypes.c_void_p),
        ("base", ctypes.c_void_p),
    ]


class CompiledStep:
    """The step of a stack on batches like x and y, in C.

    Raises CannotPrintError for an operation that is not said in C and for anything but float32 on a CPU,
    CannotRecordError for a step that is more than its operations, CompilerError without a compiler.
    """

    def __init__(self, stack: Stack, loss: Loss, x: Tensor, y: Tensor, *, own: Own) -> None:
        if stack.flat.device.type != "cpu" or stack.flat.dtype != torch.float32:
            raise CannotPrintError(f"a step in {stack.flat.dtype} on {stack.flat.device.type} is not said in C yet")
        self.own = own
        self.text, self.room, self.once, self.constants = _text(stack, loss, x, y, own)
        self._run = load(self.text, CONTRACT).run
        self._run.restype = ctypes.c_int64
        self._rooms = torch.empty(0, dtype=torch.uint8)

    def __call__(self, given: Sequence[Tensor], x: Tensor, y: Tensor, grads: Tensor) -> Tensor:
        """Losses, [K]; gradients land in grads, [K, P].

        given: the stack's tensors, each [K, ...] with trials apart as they like and each trial contiguous.
        """
        losses = torch.empty(len(grads))
        self._call(given, x, y, losses, grads.data_ptr(), None)
        return losses

    def moved(self, given: Sequence[Tensor], x: Tensor, y: Tensor, move: Move) -> tuple[Tensor, Norms]:
        """Losses, [K], and norms; every trial's weights are moved as soon as its gradient is known, which is not kept."""
        losses, by = torch.empty(len(given[0])), move.by.contiguous()
        norms = torch.empty(len(losses), 3)
        base = _addresses(move.fields)
        places = (by.data_ptr(), norms.data_ptr(), ctypes.addressof(base))
        how = _Move(move.rows, move.decayed, by.shape[1], len(move.fields), *places)
        self._call(given, x, y, losses, 0, ctypes.byref(how))
        return losses, Norms(*norms.unbind(1))

    def _call(self, given: Sequence[Tensor], x: Tensor, y: Tensor, losses: Tensor, grads: int, how: object) -> None:
        x, y, trials, threads = x.contiguous(), y.contiguous(), len(losses), torch.get_num_threads()
        threads = min(threads, trials)
        if len(self._rooms) < (size := 64 + self.once + threads * self.room):
            self._rooms = torch.empty(size, dtype=torch.uint8)
        start = -(-self._rooms.data_ptr() // 64) * 64
        tensors = [*given, x, y, *self.constants]
        apart = [_apart(tensor) for tensor in given]
        apart += [_apart(x) if self.own.x else 0, _apart(y) if self.own.y else 0, *[0] * len(self.constants)]
        strays = self._run(
            ctypes.c_int64(trials),
            ctypes.c_int64(threads),
            ctypes.c_int64(len(tensors)),
            _addresses(tensors),
            (ctypes.c_int64 * len(apart))(*apart),
            ctypes.c_void_p(losses.data_ptr()),
            ctypes.c_void_p(grads),
            ctypes.c_void_p(start),
            ctypes.c_void_p(start + self.once),
            how,
        )
        if strays:
            raise IndexError(f"{strays} targets of the batch are classes that the model has no output for.")


def _addresses(tensors: Sequence[Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def _apart(tensor: Tensor) -> int:
    """Bytes from one trial to the next in a tensor [K, ...]."""
    return tensor.stride(0) * tensor.element_size()


def _text(stack: Stack, loss: Loss, x: Tensor, y: Tensor, own: Own) -> tuple[str, int, int, list[Tensor]]:
    """The C source, the bytes that one thread works in and that all share, and the tensors from outside that it reads."""
    module, names = stack.modules[0], [*stack.leaves, *stack.frozen, *stack.buffers]
    stacked = {**stack.leaves, **stack.frozen, **stack.buffers}
    first = [stacked[name].detach()[0].clone(memory_format=torch.contiguous_format) for name in names]
    module.train()

    def step(*given: Tensor) -> Results:
        values = dict(zip(names, given[:-2], strict=True))
        leaves = [values[name].requires_grad_() for name in stack.leaves]
        found = loss(functional_call(module, values, (given[-2],)), given[-1])
        return found.detach(), torch.autograd.grad(found, leaves, allow_unused=True)

    sizes = [math.prod(shape) for shape in stack.layout.shapes.values()]
    offsets = [sum(sizes[:i]) for i in range(len(sizes))]
    batch = [(x[0] if own.x else x).contiguous(), (y[0] if own.y else y).contiguous()]
    shared = [len(first) + i for i, each in enumerate(own) if not each]
    found = printed(step, [*first, *batch], offsets, shared)
    change = -(-found.room // 64) * 64
    padded = -(-stack.layout.size * 4 // 64) * 64
    room = change + 2 * padded
    tail = TAIL.format(
        checks=found.checks,
        before=found.before,
        body=found.body,
        tensors=len(first) + 2 + len(found.constants),
        room=room,
        change=change,
        row=4 * stack.layout.size,
        padded=padded,
        numbers=stack.layout.size,
    )
    return HEAD + BY_TYPE + PRODUCT + FUNCTIONS + tail, room, found.once, found.constants
