"""The arithmetic of an elementwise rule, written out in C: one loop that touches every number once.

A rule's `apply` is run on stand-ins that note what is done with them (torch.fx proxies), and the notes are
printed as statements. The rule stays the one definition: a new rule is compiled as soon as it is written, and
tests hold every compiled rule to `apply` itself. An operation that is not in the table below raises
NotImplementedError, and the engine runs that rule as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Graph, Node, Proxy
from torch.fx.proxy import GraphAppendingTracer

from ravine.engines.sentences import SENTENCES
from ravine.rules import Rule

__all__ = ["Arithmetic", "arithmetic"]

SAID: dict[str, Callable[..., str]] = {
    **{name: SENTENCES[name] for name in ("add", "sub", "mul", "neg", "sqrt", "abs", "where", "maximum", "minimum")},
    "truediv": SENTENCES["div"],
    "sign": SENTENCES["sgn"],
    "square": lambda a: f"{a} * {a}",
    "isnan": lambda a: f"{a} != {a}",
    "gt": lambda a, b: f"{a} > {b}",
    "lt": lambda a, b: f"{a} < {b}",
    "clamp": lambda a, min: f"{a} < {min} ? {min} : {a}",  # noqa: A006 - torch's name
    "lerp": lambda a, b, weight: f"{a} + {weight} * ({b} - {a})",
    "addcdiv": lambda a, b, c, value="1": f"{a} + {value} * ({b} / {c})",
}
"""How each operation is said in C, by its name as an operator, a method or a function of torch; every argument comes
as text."""


@dataclass(frozen=True)
class Arithmetic:
    """What one step does to one number."""

    state: tuple[str, ...]  # the tensors of the rule's state, in order
    numbers: tuple[str, ...]  # the fields of its coefficients, in order
    lines: tuple[str, ...]  # statements in C, from param, grad, state and numbers to what follows
    moved: str  # the variable that holds the new parameter
    after: tuple[str, ...]  # those that hold the new state


def arithmetic(rule: Rule) -> Arithmetic:
    """Note what `rule.apply` does, of a rule with plain numbers. Raises NotImplementedError when it does what cannot be said in C here."""
    like, by = rule.init(torch.zeros(1)), rule.coefficients(0.5, 1)
    graph = Graph()
    tracer = GraphAppendingTracer(graph)

    def stand_in(name: str) -> Proxy:
        return Proxy(graph.placeholder(name), tracer)

    held = {name: stand_in(name) for name, value in like._asdict().items() if value is not None}
    numbers = {name: stand_in(f"by_{name}") for name in by._fields}
    state = type(like)(*(held.get(name) for name in like._fields))
    try:
        moved, after = rule.apply(stand_in("param"), stand_in("grad"), state, type(by)(**numbers))  # type: ignore[arg-type]
    except (TypeError, AttributeError, torch.fx.proxy.TraceError) as refusal:
        raise NotImplementedError(f"{type(rule).__name__} does more than arithmetic: {refusal}") from refusal
    names: dict[Node, str] = {}
    lines = tuple(line for node in graph.nodes if (line := _line(node, names)))
    kept = tuple(_name(getattr(after, name), names) for name in held)
    return Arithmetic(tuple(held), tuple(by._fields), lines, _name(moved, names), kept)


def _line(node: Node, names: dict[Node, str]) -> str | None:
    """One operation as a statement; None for what was given, which has its name already."""
    if node.op == "placeholder":
        names[node] = str(node.target)
        return None
    operation = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    say = SAID.get(operation)
    if say is None:
        raise NotImplementedError(f"{operation} cannot be said in C yet")
    words = [_text(value, names) for value in node.args]
    names[node] = f"v{len(names)}"
    try:
        said = say(*words, **{key: _text(value, names) for key, value in node.kwargs.items()})
    except TypeError as refusal:
        raise NotImplementedError(f"{operation} with {node.args} cannot be said in C yet") from refusal
    return f"const REAL {names[node]} = {said};"


def _text(value: Any, names: dict[Node, str]) -> str:
    if isinstance(value, Node):
        return names[value]
    if isinstance(value, int | float):
        return f"(REAL)({float(value)!r})"
    raise NotImplementedError(f"{value!r} cannot be said in C yet")


def _name(proxy: Any, names: dict[Node, str]) -> str:
    return names[proxy.node]
