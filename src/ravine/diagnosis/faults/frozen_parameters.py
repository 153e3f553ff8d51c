"""frozen-parameters: layers that work in the forward pass and are never changed, for no gradient reaches them.

Symptom: the training stands or stops early; some layers have the same weights in the end as in the beginning.
Why: requires_grad was set to False and forgotten, or a detach(), a no_grad() or a trip through numpy cuts the graph.
Found: parameters that want no gradient or get none in the first backward pass though the outputs depend on them. Those drawn at
random (others with another seed) cannot have been frozen for what they had learnt; frozen ones that are always the same may
have, and count only where thawing them helps.
Cure: requires_grad_(True) on them, or the graph left whole.
Source: PyTorch documentation, Autograd mechanics ("Locally disabling gradient computation"); Yosinski et al. 2014 (what freezing
costs and brings).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ravine.diagnosis.finding import Finding, grown
from ravine.diagnosis.influence import influential
from ravine.diagnosis.look import Look
from ravine.diagnosis.surgery import thawed
from ravine.diagnosis.symptoms import SYMPTOMS
from ravine.diagnosis.worth import gain

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (*SYMPTOMS, "symmetric-init", "train-eval-mismatch")

HELPS = 0.03  # skill that thawing must bring to be called a cure; two seeds of one training differ by 0.01
HELPS_MUCH = 0.1  # where the frozen weights are no accident: some loss is the price of fewer parameters


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised:
        return
    model = look.model
    named = dict(model.named_parameters())
    numbers = sum(p.numel() for p in named.values())
    silent = [name for name, p in named.items() if not p.requires_grad or name in look.start.unreached]
    if not silent:
        return
    works = influential(look.case, silent)
    still = [name for name in silent if name in works and not named[name].requires_grad]
    cut = [name for name in silent if name in works and named[name].requires_grad]
    share = sum(named[name].numel() for name in still + cut) / max(1, numbers)
    if not any(named[name].ndim > 1 for name in still + cut) and share < 0.5:
        return
    random = _random(look, still)
    confidence = grown(0.8, 0.97, share / 0.2) if any(named[name].ndim > 1 for name in cut) else 0.3
    if any(named[name].ndim > 1 for name in random):
        confidence = max(confidence, 0.7)
    verified, change = "", {}
    if still:
        change = {"make_model": look.remade(thawed)}
        if not look.hurried:
            after = look.tried(make_model=change["make_model"])
            better = max(gain(look.base, after), after.held.skill - look.base.held.skill if after.finite else 0.0)
            if better > (HELPS if random else HELPS_MUCH):
                confidence = max(confidence, grown(0.7, 0.97, better / 0.2))
                verified = (
                    f"skill {after.train.skill:.2f} instead of {look.base.train.skill:.2f} with all parameters learning"
                )
    names = still + cut
    advice = (
        f"Let {_few(names)} learn: requires_grad_(True)."
        if still
        else f"Leave the graph whole before {_few(names)}: no detach() and no no_grad()."
    )
    evidence = {"requires_grad_false": still, "cut_off": cut, "share": share, "random": bool(random)}
    yield Finding("frozen-parameters", confidence, evidence, _few(names), advice, change, verified)


def _random(look: Look, names: list[str]) -> list[str]:
    """Those that begin elsewhere with another seed."""
    if not names:
        return []
    here, there = (
        dict(look.model.named_parameters()),
        dict(look.case.but(seed=look.case.seed + 1).build().named_parameters()),
    )
    return [name for name in names if name in there and not torch.equal(here[name], there[name])]


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
