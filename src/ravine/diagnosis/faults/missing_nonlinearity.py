"""missing-nonlinearity: layers follow each other without an activation between them.

Symptom: a deep network does no better than a linear one, however wide or long it is trained.
Why: a linear map of a linear map is a linear map; the layers in between add parameters and nothing that could be said with them.
Found: f(a) + f(b) - f(a + b) - f(0) of the model's outputs (up to a softmax) is nought at inputs of every size though it has two
weight layers or more, max pooling counted as linear; or one linear layer takes another's output as it is, at a width at which
the first cannot have been meant as a bottleneck. ReLUs are put in and the training is made again.
Cure: an activation (ReLU, GELU) after every layer but the last.
Source: Goodfellow, Bengio and Courville 2016, Deep Learning, 6.1; Cybenko 1989 (what one nonlinear layer can say).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from ravine.diagnosis.finding import Finding, grown
from ravine.diagnosis.look import Look
from ravine.diagnosis.surgery import AveragePooled, called, mixing, with_activations
from ravine.diagnosis.tail import form_of
from ravine.diagnosis.worth import gain

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "capacity-too-small",
    "under-fitting",
    "too-few-epochs",
    "lr-too-low",
    "lr-too-high",
    "batch-too-large",
    "decayed-too-early",
    "oscillating-loss",
)

ROWS = 64
SIZES = (1.0, 30.0, 1000.0)  # of the inputs: even a tanh started very small bends at one of them
BENT = 1e-3  # of the outputs' spread; rounding leaves 1e-6, a single ReLU layer 0.1 and more


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    layers = [name for name, _ in mixing(look.model)]
    if len(layers) < 2 or look.outputs is None or not case.x.dtype.is_floating_point:
        return
    bend = _bend(look)
    if bend is not None and bend < BENT:
        yield _finding(look, layers[:-1], 0.75, {"bend": bend, "layers": len(layers)}, "the whole model is linear")
        return
    for first, second in _chained(look):
        yield _finding(look, [first], 0.6, {"bend": bend, "between": [first, second]}, f"between {first} and {second}")
        return


def _finding(look: Look, layers: list[str], static: float, evidence: dict[str, object], where: str) -> Finding:
    """Surer where the ReLUs help; the layers are as superfluous where they do not."""
    factory = look.remade(partial(with_activations, layers))
    confidence, verified = static, ""
    if not look.hurried and not look.start.raised:
        after = look.tried(make_model=factory)
        better = max(gain(look.base, after), after.held.skill - look.base.held.skill if after.finite else 0.0)
        if better > 0.01:
            confidence = grown(static, 0.97, better / 0.1)
            verified = f"skill {after.held.skill:.2f} instead of {look.base.held.skill:.2f} with ReLUs after {', '.join(layers)}"
    advice = f"Put an activation, nn.ReLU(), after {', '.join(layers)}."
    return Finding("missing-nonlinearity", confidence, evidence, where, advice, {"make_model": factory}, verified)


def _bend(look: Look) -> float | None:
    """The largest departure from an affine map at inputs of all sizes, over the outputs' spread; None where there is none."""
    case, model = look.case, look.case.build().eval()
    x = torch.nan_to_num(case.x[:ROWS])
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)) * x.std().clamp_min(1e-12)
    worst, still = 0.0, True
    try:
        for size in SIZES:
            for part in (x, noise):
                a, b = size * part, size * part.roll(1, 0)
                with torch.no_grad(), AveragePooled():
                    fa, fb, both, zero = (_logits(model(inputs)) for inputs in (a, b, a + b, torch.zeros_like(a)))
                spread = float((fa - zero).abs().mean())
                if spread < 1e-7 * max(1e-12, float(fa.abs().mean())) or spread == 0:
                    continue  # nothing moves: another fault
                still = False
                worst = max(worst, float((fa + fb - both - zero).abs().mean()) / spread)
    except Exception:
        return None
    return None if still or worst != worst else worst


def _logits(out: Tensor) -> Tensor:
    """Outputs in double precision; of probabilities the logits up to a number a row."""
    form, out = form_of(out), out.double()
    if form == "numbers":
        return out
    out = out.clamp_min(1e-300).log() if form == "probabilities" else out
    return out - out.mean(1, keepdim=True)


def _chained(look: Look) -> Iterator[tuple[str, str]]:
    """Linear layers whose input is another's output as it is, with no fewer units than the two could pass on."""
    try:
        calls = called(look.case.build().eval(), look.case.x[:4])
    except Exception:
        return
    makers: dict[int, tuple[str, nn.Linear]] = {}
    for name, module, given, out in calls:
        if isinstance(module, nn.Linear):
            if id(given) in makers:
                before, first = makers[id(given)]
                if first.out_features >= min(first.in_features, module.out_features) and first is not module:
                    yield before, name
            makers[id(out)] = (name, module)
        elif isinstance(module, nn.Identity | nn.Dropout) and id(given) in makers:
            makers[id(out)] = makers[id(given)]
