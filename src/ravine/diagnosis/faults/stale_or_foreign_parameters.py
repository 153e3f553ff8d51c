"""stale-or-foreign-parameters: the optimizer holds other parameters than those the model computes with.

Symptom: the loss stands still, or one layer keeps its initial weights, though gradients are there and the rate is right.
Why: the optimizer was built before a layer was replaced or the model copied, over another model, or over some of the layers; or the
model keeps layers in a plain list, where parameters() does not find them.
Found: parameters that get a gradient are in none of the optimizer's groups, tensors in the groups are not the model's, or the graph
of the loss ends in tensors that want a gradient and are not registered with the model.
Cure: build the optimizer over model.parameters() when the model is complete; keep layers in nn.ModuleList.
Source: PyTorch documentation, torch.optim ("Constructing it") and nn.ModuleList; Humbatova et al. 2020, taxonomy of real faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from ravine.diagnosis.finding import Finding, grown
from ravine.diagnosis.look import Look
from ravine.diagnosis.symptoms import SYMPTOMS

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (*SYMPTOMS, "unused-parameters", "frozen-parameters", "symmetric-init", "labels-unrelated")


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised:
        return
    steps = look.stepping
    named = dict(look.model.named_parameters())
    outside = sum(named[name].numel() for name in steps.unheld)
    strange = sum(prod(shape) for shape in steps.unregistered)
    numbers = sum(p.numel() for p in named.values())
    evidence = {
        "held": steps.held,
        "not_held": list(steps.unheld),
        "foreign_numbers": steps.foreign,
        "unregistered_shapes": [list(shape) for shape in steps.unregistered],
    }
    if strange:
        advice = "Register the layers with the model: nn.ModuleList instead of a list, so that parameters() finds them."
        where = "layers the model does not register"
        yield Finding(
            "stale-or-foreign-parameters", grown(0.85, 0.97, strange / numbers / 0.1), evidence, where, advice
        )
    if outside or steps.foreign:
        advice = "Build the optimizer over model.parameters(), after the last change to the model."
        where = ", ".join(steps.unheld[:4]) or "the optimizer's groups"
        confidence = (
            0.98 if steps.foreign and outside else grown(0.7, 0.95, outside / numbers / 0.2) if outside else 0.4
        )
        if not steps.foreign and not any(named[name].ndim > 1 for name in steps.unheld):
            confidence = 0.4  # a few biases may have been left out on purpose
        yield Finding("stale-or-foreign-parameters", confidence, evidence, where, advice)
