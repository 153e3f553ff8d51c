"""unused-parameters: parameters of the model that its outputs do not depend on.

Symptom: nothing at first sight; the model is smaller than its count of parameters says, and layers stand in it that do nothing.
Why: a layer is made in __init__ and never called in forward, called with its result thrown away, or was replaced under another
name and the old one kept.
Found: they get no gradient in the first backward pass (or want none), and moving them by noise, all others too, changes no
output in either mode.
Cure: call the layer in forward, or delete it.
Source: torch.nn.parallel.DistributedDataParallel (find_unused_parameters); Humbatova et al. 2020, taxonomy of real faults
("missing or redundant layer").
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.finding import Finding, grown
from ravine.diagnosis.influence import influential
from ravine.diagnosis.look import Look

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "capacity-too-small",
    "under-fitting",
    "init-too-large",
    "init-too-small",
    "symmetric-init",
    "vanishing-gradient",
)

SHARE = 0.05  # of all numbers in parameters, from which on it is as sure as it gets


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised:
        return
    named = dict(look.model.named_parameters())
    silent = [name for name, p in named.items() if name in look.start.unreached or not p.requires_grad]
    if not silent:
        return
    works = influential(look.case, silent)
    unused = [name for name in silent if name not in works]
    numbers = sum(named[name].numel() for name in unused)
    if not unused:
        return
    share = numbers / sum(p.numel() for p in named.values())
    weighty = any(named[name].ndim > 1 for name in unused)
    yield Finding(
        "unused-parameters",
        grown(0.75, 0.95, share / SHARE) if weighty else 0.4,
        {"parameters": unused, "numbers": numbers, "share": share},
        ", ".join(unused[:4]) + (f" and {len(unused) - 4} more" if len(unused) > 4 else ""),
        f"Call {unused[0].rpartition('.')[0] or unused[0]} in forward, or delete it: no output depends on it.",
    )
