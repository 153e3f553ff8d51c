"""train-eval-mismatch: the model that is scored works otherwise than the one that was trained.

Symptom: the training loss is good and scores in evaluation mode are poor, on the very training rows; or they differ from one
evaluation to the next.
Why: running statistics of batch norm that have not caught up (a momentum near 0) or hold one batch only (near 1), dropout that stays
on in evaluation (functional dropout without training=self.training), a layer of one's own that does something else, or a model
left in evaluation mode.
Found: two evaluations of the same rows differ; the factory gives a model in evaluation mode; or the trained model predicts its
training rows far better in training mode, and turning the mode of one kind of layer brings the score back.
Cure: momentum=0.1 for batch norm; F.dropout(x, p, self.training); model.train() before and model.eval() after training.
Source: Ioffe and Szegedy 2015 (population statistics); PyTorch documentation, nn.Module.eval and nn.BatchNorm1d.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from ravine.diagnosis.finding import Finding, grown
from ravine.diagnosis.look import Look
from ravine.diagnosis.surgery import NORMS, called, set_momentum
from ravine.diagnosis.symptoms import SYMPTOMS
from ravine.diagnosis.trace import outputs, score
from ravine.diagnosis.worth import gain
from ravine.randomness import seeded

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (*SYMPTOMS, "split-shift", "labels-unrelated", "label-noise", "broken-augmentation")

ROWS = 512
RANDOM = 0.01  # change between two evaluations over the outputs' spread; nothing but an exact 0 is usual
GAP = 0.08  # skill on training rows: healthy batch norm stays within 0.03
USUAL = (0.02, 0.5)  # momenta of batch norm that catch up within 200 steps and average over two batches at least
BEHIND = 0.5  # share of the statistics of the untrained layer; 0.1 a step leaves less than that after 7 steps
TURNED = (*NORMS, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised:
        return
    yield from _random(look)
    yield from _left(look)
    yield from _behind(look)
    if look.base.finite and look.base.model is not None:
        yield from _gap(look, look.base.model)


def _random(look: Look) -> Iterator[Finding]:
    model, x = look.case.build().eval(), look.case.x[:ROWS]
    found = []
    for seed in (1, 2):
        with torch.no_grad(), seeded(seed, "evaluation"):
            found.append(outputs(model, x).float())
    spread = float(found[0].std(0).mean()) if len(x) > 1 else 0.0
    change = float((found[0] - found[1]).std()) / spread if spread > 0 else 0.0
    if not change > RANDOM:
        return
    on = [name or type(m).__name__ for name, m in model.named_modules() if m.training]
    where = ", ".join(on[:3]) or "forward"
    advice = f"Turn the randomness of {where} off in evaluation mode: F.dropout(x, p, self.training)."
    yield Finding(
        "train-eval-mismatch",
        grown(0.6, 0.97, change / 0.1),
        {"change_over_spread": change, "still_training": on},
        where,
        advice,
    )


def _left(look: Look) -> Iterator[Finding]:
    left = [
        name or "the model" for name, m in look.case.build().named_modules() if not m.training and isinstance(m, TURNED)
    ]
    if left:
        advice = "Give the model in training mode, model.train(), and call eval() only to score it."
        yield Finding("train-eval-mismatch", 0.75, {"in_evaluation_mode": left}, ", ".join(left[:3]), advice)


def _behind(look: Look) -> Iterator[Finding]:
    """Running statistics that are still mostly those they began with when the training ends, harm or no harm."""
    steps = look.case.steps
    left = {
        name: (1 - m.momentum) ** steps
        for name, m in look.model.named_modules()
        if isinstance(m, NORMS) and m.track_running_stats and isinstance(m.momentum, float) and m.momentum < USUAL[0]
    }
    behind = {name: share for name, share in left.items() if share > BEHIND}
    if behind:
        change = {"make_model": look.remade(partial(set_momentum, list(behind), 0.1))}
        advice = f"Set momentum=0.1 for {', '.join(behind)}."
        yield Finding(
            "train-eval-mismatch", 0.65, {"share_of_first_statistics": behind}, ", ".join(behind), advice, change
        )


def _gap(look: Look, trained: nn.Module) -> Iterator[Finding]:
    case = look.case
    if case.task == "regression" and look.start.out.numel() != look.start.out.shape[0] * case.y[0].numel():
        return  # outputs that are more than predictions cannot be scored
    evaluated = _skill(look, trained, ())
    kinds = {type(m) for m in trained.modules()}
    training = _skill(look, trained, tuple(kinds))
    gap = training - evaluated
    if not gap > GAP or not math.isfinite(gap):
        return
    evidence: dict[str, object] = {"skill_training_mode": training, "skill_evaluation_mode": evaluated}
    guilty = [kind for kind in kinds if _skill(look, trained, (kind,)) - evaluated > 0.5 * gap]
    names = [name or "the model" for name, m in trained.named_modules() if type(m) in guilty]
    norms = [name for name, m in trained.named_modules() if type(m) in guilty and isinstance(m, NORMS)]
    momenta = {name: trained.get_submodule(name).momentum for name in norms}
    odd = [name for name, m in momenta.items() if isinstance(m, float) and not USUAL[0] <= m <= USUAL[1]]
    confidence, verified, change = 0.4, "", {}
    advice = f"Let {', '.join(names[:3]) or 'the layers'} do the same in evaluation as in training mode."
    if odd:
        confidence = grown(0.6, 0.95, gap / 0.2)
        advice = f"Set momentum=0.1 for {', '.join(odd)}."
        change = {"make_model": look.remade(partial(set_momentum, odd, 0.1))}
        evidence["momentum"] = momenta
        if not look.hurried:
            after = look.tried(make_model=change["make_model"])
            if gain(look.base, after) > 0.5 * gap:
                confidence = max(confidence, 0.9)
                verified = f"skill {after.train.skill:.2f} instead of {evaluated:.2f} with momentum 0.1"
    elif names and not norms:
        # what changes the inputs in training mode only is an augmentation, and then that is at fault
        confidence = 0.45 if _first(trained, case.x[:4], guilty) else grown(0.6, 0.9, gap / 0.3)
    yield Finding(
        "train-eval-mismatch", confidence, evidence, ", ".join(names[:3]) or "the model", advice, change, verified
    )


def _skill(look: Look, trained: nn.Module, kinds: tuple[type[nn.Module], ...]) -> float:
    """The skill on training rows in the batches of the training, modules of those kinds alone in training mode."""
    case = look.case
    model = copy.deepcopy(trained).eval()
    for module in model.modules():
        if type(module) in kinds:
            module.training = True
    size = min(case.batch_size, len(case.x))
    count = max(size, min(len(case.x), ROWS) // size * size)
    rows = case.rows(0)[:count]
    try:
        with torch.no_grad(), seeded(case.seed, "mode"):
            out = torch.cat([model(case.x[part]) for part in rows.split(size)])
        return score(case, out, case.y[rows]).skill
    except Exception:
        return math.nan


def _first(model: nn.Module, x: Tensor, kinds: list[type[nn.Module]]) -> bool:
    """Whether one of those is the first thing that sees the inputs, and has no parameters."""
    calls = called(copy.deepcopy(model).eval(), x)
    return bool(calls) and type(calls[0][1]) in kinds and not any(True for _ in calls[0][1].parameters())
