"""An elementwise rule as one compiled pass over many tensors, whatever their number and sizes.

A step reads and writes each number once, so it runs at the speed of memory; the threads share the numbers out
evenly, not the tensors. Every tensor has its own coefficients, so one call steps the 2,000 tensors of one model
or the K trials of a population.

Letters in shapes: N tensors, C coefficients.
"""

from __future__ import annotations

import ctypes
import functools
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ravine.engines.arithmetic import Arithmetic, arithmetic
from ravine.engines.compiler import CompilerError, load
from ravine.engines.sentences import BY_TYPE
from ravine.rules import Rule

__all__ = ["Addresses", "CompiledRule", "addresses", "compiled"]

REALS = {torch.float32: "float", torch.float64: "double"}
PARALLEL = 1 << 15  # numbers below which a second thread costs more than it saves

TEXT = """\
#include <math.h>
#include <stdint.h>
#ifdef _OPENMP
#include <omp.h>
#else
#define omp_get_thread_num() 0
#define omp_get_num_threads() 1
#endif
typedef {real} REAL;
{by_type}
/* The change may take the gradient's place. */
static void run(int64_t n, const double *by, REAL *change_, REAL *restrict param_, const REAL *grad_{parameters})
{{
    const REAL by_sign = (REAL)by[0];
{numbers}
    #pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) {{
        const REAL param = param_[i];
        const REAL grad = by_sign * grad_[i];
{before}
{lines}
{after}
        param_[i] = {moved};
        if (change_) change_[i] = {moved} - param;
    }}
}}

/* Tensor after tensor, by the thread that calls. */
void rows(int64_t tensors, const int64_t *sizes, const double *by, int64_t stride, REAL **change, REAL ***of)
{{
    for (int64_t t = 0; t < tensors; t++) {{
        const int64_t from = 0;
        run(sizes[t], by + t * stride, change[t], {arguments});
    }}
}}

/* Tensors end to end are one long row of numbers, cut into one piece for each thread. */
void step(int64_t tensors, const int64_t *sizes, const double *by, int64_t stride, int64_t threads,
          REAL **change, REAL ***of)
{{
    int64_t total = 0;
    for (int64_t t = 0; t < tensors; t++) total += sizes[t];
    #pragma omp parallel num_threads(threads)
    {{
        const int64_t id = omp_get_thread_num(), count = omp_get_num_threads();
        const int64_t low = total * id / count / 16 * 16;
        const int64_t high = id + 1 == count ? total : total * (id + 1) / count / 16 * 16;
        int64_t start = 0;
        for (int64_t t = 0; t < tensors && start < high; start += sizes[t++]) {{
            const int64_t from = low > start ? low - start : 0;
            const int64_t to = high - start < sizes[t] ? high - start : sizes[t];
            if (from < to) run(to - from, by + t * stride, change ? change[t] + from : 0, {arguments});
        }}
    }}
}}
"""


class CompiledRule:
    """`Rule.apply` in place over lists of contiguous tensors of one dtype on the CPU."""

    def __init__(self, work: Arithmetic, dtype: torch.dtype) -> None:
        self.work, self.dtype = work, dtype
        library = load(_text(work, REALS[dtype]))
        self._step = library.step
        self._step.restype = None
        self.rows = ctypes.cast(library.rows, ctypes.c_void_p).value or 0  # for other C to call

    def __reduce__(self) -> tuple[type[CompiledRule], tuple[Arithmetic, torch.dtype]]:
        """Copied and pickled as what it does: the address of a function means nothing elsewhere."""
        return CompiledRule, (self.work, self.dtype)

    def __call__(
        self, params: Sequence[Tensor], grads: Sequence[Tensor], state: Sequence[Sequence[Tensor]], by: Sequence[float]
    ) -> None:
        """Step every tensor.

        state: for each tensor of the rule's state, its N tensors. by: the sign of the gradient (-1 to climb) and the C
        numbers, once for all tensors.
        """
        sizes = [param.numel() for param in params]
        self.call(sizes, [addresses([t.data_ptr() for t in each]) for each in (params, grads, *state)], by)

    def call(
        self,
        sizes: Sequence[int],
        places: Sequence[Addresses],
        by: Sequence[float],
        change: Addresses | None = None,
    ) -> None:
        """The same by addresses: of parameters, of gradients, and of each field of the state.

        by: 1 + C floats for all tensors, or N * (1 + C), tensor after tensor. change: where the change of each
        parameter is written, in memory of its own or that of the gradients.
        """
        width = 1 + len(self.work.numbers)
        self._step(
            ctypes.c_int64(len(sizes)),
            (ctypes.c_int64 * len(sizes))(*sizes),
            (ctypes.c_double * len(by))(*by),
            ctypes.c_int64(width if len(by) > width else 0),
            ctypes.c_int64(torch.get_num_threads() if sum(sizes) >= PARALLEL else 1),
            change,
            (ctypes.c_void_p * len(places))(*(ctypes.addressof(place) for place in places)),
        )


Addresses = ctypes.Array[ctypes.c_void_p]


def addresses(places: Sequence[int]) -> Addresses:
    """Where the numbers of each tensor begin, as C reads it."""
    return (ctypes.c_void_p * len(places))(*places)


def compiled(rule: Rule, dtype: torch.dtype) -> CompiledRule | None:
    """The compiled form of a rule; None for a rule or a dtype that has none, or without a compiler (said once)."""
    if not rule.elementwise or dtype not in REALS:
        return None
    stacked = [name for name, value in vars(rule).items() if isinstance(value, Tensor)]
    alone = replace(rule, **dict.fromkeys(stacked, 0.5)) if stacked else rule  # type: ignore[type-var]
    return _compiled(alone, dtype)


@functools.lru_cache(maxsize=256)
def _compiled(rule: Rule, dtype: torch.dtype) -> CompiledRule | None:
    try:
        return CompiledRule(arithmetic(rule), dtype)
    except NotImplementedError:
        return None
    except CompilerError as refusal:
        _say_once(str(refusal))
        return None


@functools.cache
def _say_once(refusal: str) -> None:
    warnings.warn(
        f"{refusal}; rules take several passes over memory instead of one: install gcc, or set CC.",
        RuntimeWarning,
        stacklevel=2,
    )


def _text(work: Arithmetic, real: str) -> str:
    """The whole of the C source."""
    kept = list(zip(work.state, work.after, strict=True))
    return TEXT.format(
        real=real,
        by_type=BY_TYPE,
        parameters="".join(f", REAL *restrict {name}_" for name in work.state),
        numbers="\n".join(f"    const REAL by_{name} = (REAL)by[{i}];" for i, name in enumerate(work.numbers, 1)),
        before="\n".join(f"        const REAL {name} = {name}_[i];" for name in work.state),
        lines="\n".join(f"        {line}" for line in work.lines),
        after="\n".join(f"        {name}_[i] = {value};" for name, value in kept),
        moved=work.moved,
        arguments=", ".join(f"of[{i}][t] + from" for i in range(2 + len(work.state))),
    )
