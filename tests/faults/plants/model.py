"""Faults of the model and of the loop round it, planted: what is built is changed, data and settings are not."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.diagnosis import Case
from ravine.diagnosis.case import face

from .kinds import Plant, Severity

__all__ = ["PLANTS"]

WEIGHTED = (nn.Linear, nn.Conv2d)
ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.GELU, nn.LeakyReLU, nn.Sigmoid)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class Wrapped(nn.Module):
    """A model with something done to its inputs or outputs."""

    def __init__(self, body: nn.Module, before: Callable[[Tensor], Tensor], after: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.before, self.after = body, before, after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.body(self.before(x)))


def same(x: Tensor) -> Tensor:
    return x


def changed(case: Case, change: Callable[[nn.Module], nn.Module | None]) -> Case:
    """A case whose model is changed in place, or exchanged for what the change gives."""

    def make() -> nn.Module:
        model = case.make_model()
        given = change(model)
        return model if given is None else given

    return case.but(make_model=make)


def layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, m) for name, m in model.named_modules() if isinstance(m, WEIGHTED)]


def softmax_before_loss(case: Case, severity: Severity) -> Case | None:
    """Mild: nll of probabilities, which is not as flat as a second softmax."""
    if case.loss != "cross_entropy":
        return None
    planted = changed(case, lambda model: nn.Sequential(model, nn.Softmax(dim=1)))
    return planted.but(loss="nll") if severity == "mild" else planted


def wrong_output_size(case: Case, severity: Severity) -> Case | None:
    """Too many classes (mild) or too few; two outputs or three for one number."""
    if case.task == "classification":
        size = math.ceil(1.5 * case.classes) if severity == "mild" else case.classes - 1
    else:
        size = 2 if severity == "mild" else 3

    def change(model: nn.Module) -> None:
        name, last = layers(model)[-1]
        model.set_submodule(name, nn.Linear(last.in_features, size))

    return changed(case, change)


def bounded_output(case: Case, severity: Severity) -> Case | None:
    """A ReLU or a tanh (mild), or a sigmoid at the end."""
    mild: nn.Module = nn.ReLU() if case.task == "classification" else nn.Tanh()
    return changed(case, lambda model: nn.Sequential(model, mild if severity == "mild" else nn.Sigmoid()))


def missing_nonlinearity(case: Case, severity: Severity) -> Case | None:
    """All activations gone, or (mild) one between two linear layers where there are others."""

    def change(model: nn.Module) -> None:
        gone = [name for name, m in model.named_modules() if isinstance(m, ACTIVATIONS)]
        for name in gone if severity == "severe" else gone[-1:]:
            model.set_submodule(name, nn.Identity())

    images = any(isinstance(m, nn.Conv2d) for m in case.make_model().modules())
    if severity == "mild" and (images or sum(isinstance(m, ACTIVATIONS) for m in case.make_model().modules()) < 2):
        return None
    if severity == "mild" and any(isinstance(m, NORMS) for m in case.make_model().modules()):
        return None
    return changed(case, change)


def symmetric_init(case: Case, severity: Severity) -> Case | None:
    """All weights one number (mild), or nought."""

    def change(model: nn.Module) -> None:
        for _, layer in layers(model):
            fan = layer.weight[0].numel()
            nn.init.constant_(layer.weight, 0.0 if severity == "severe" else 1 / fan)
            nn.init.zeros_(layer.bias)

    return changed(case, change)


class Cut(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


def frozen_parameters(case: Case, severity: Severity) -> Case | None:
    """The first layer frozen (mild), or the graph cut before the last one."""

    def change(model: nn.Module) -> None:
        if severity == "mild":
            layers(model)[0][1].requires_grad_(False)
        else:
            name, last = layers(model)[-1]
            model.set_submodule(name, nn.Sequential(Cut(), last))

    return changed(case, change)


class Idle(nn.Module):
    """A model with a layer that is never called."""

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body, self.spare = body, nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def unused_parameters(case: Case, severity: Severity) -> Case | None:
    numbers = sum(p.numel() for p in case.make_model().parameters())
    width = max(2, round(math.sqrt(numbers * (0.03 if severity == "mild" else 1.0))))
    return changed(case, lambda model: Idle(model, width))


def scrambled(x: Tensor) -> Tensor:
    """Numbers in the order of columns put back in the order of rows, as a wrong reshape does."""
    return x.flatten(1).t().reshape(x.shape)


def centred(x: Tensor) -> Tensor:
    return x - x.mean(0)


def samples_mixed_in_batch(case: Case, severity: Severity) -> Case | None:
    """Inputs centred by their batch (mild), or scrambled over its rows."""
    return changed(case, lambda model: Wrapped(model, centred if severity == "mild" else scrambled, same))


class AlwaysDropped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.3)


def train_eval_mismatch(case: Case, severity: Severity) -> Case | None:
    """Dropout that is never turned off (mild), or batch norm whose running statistics stay behind."""

    def change(model: nn.Module) -> None:
        name, first = layers(model)[0]
        if severity == "mild":
            model.set_submodule(name, nn.Sequential(AlwaysDropped(), first))
            return
        if not any(isinstance(m, NORMS) for m in model.modules()):
            width = len(first.weight)
            norm = nn.BatchNorm2d(width) if isinstance(first, nn.Conv2d) else nn.BatchNorm1d(width)
            model.set_submodule(name, nn.Sequential(first, norm))
        for module in model.modules():
            if isinstance(module, NORMS):
                module.momentum = 1e-4

    return changed(case, change)


def capacity_too_small(case: Case, severity: Severity) -> Case | None:
    """Hidden layers of two units (mild) or of one."""
    if case.task == "classification" and case.classes == 2:
        return None  # one number is enough to tell two classes apart
    width = 2 if severity == "mild" else 1

    def change(model: nn.Module) -> nn.Module:
        links: list[nn.Module] = []
        found = layers(model)
        was = now = 0
        for module in model:
            if isinstance(module, WEIGHTED):
                ins = module.weight.shape[1]
                ins = ins * now // was if was else ins
                was, now = len(module.weight), len(module.weight) if module is found[-1][1] else width
                if isinstance(module, nn.Conv2d):
                    links.append(nn.Conv2d(ins, now, 3, stride=module.stride, padding=module.padding))
                else:
                    links.append(nn.Linear(ins, now))
            else:
                links.append(type(module)(now) if isinstance(module, NORMS) else module)
        return nn.Sequential(*links)

    return changed(case, change)


def as_numbers(outputs: Tensor, y: Tensor) -> Tensor:
    """The squared error of the mean class number: 0 and 2 half each are as good as 1."""
    numbers = torch.arange(outputs.shape[1], dtype=outputs.dtype)
    return (outputs.softmax(1) @ numbers - y).square().mean()


def broadcast(outputs: Tensor, y: Tensor) -> Tensor:
    """[B, 1] - [B] is [B, B]."""
    return (outputs - y).square().mean()


def wrong_loss(case: Case, severity: Severity) -> Case | None:
    if case.task == "classification":
        if severity == "mild" and case.classes == 2:
            return None  # of two classes the mean number is a probability
        return case.but(loss=as_numbers if severity == "mild" else "nll")
    return case.but(loss=broadcast if severity == "mild" else "bce_with_logits")


def options(case: Case) -> dict[str, Any]:
    return {name: value for name in ("momentum", "weight_decay") if (value := getattr(case, name))}


def ruled(case: Case, change: Callable[..., torch.optim.Optimizer]) -> Case:
    """A case whose rule is a callable: change(make, parameters), where make(parameters) is the optimizer it was."""
    assert isinstance(case.rule, str)
    kind = face(case.rule)

    def rule(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        return change(lambda held, **more: kind(held, lr=lr, **options(case), **more), list(parameters))

    return case.but(rule=rule, momentum=0.0, weight_decay=0.0)


def gradient_ascent(case: Case, severity: Severity) -> Case | None:
    """The loss negated (mild), or maximize=True."""
    if severity == "mild":
        return case.but(loss=lambda outputs, y: -case.loss_of(outputs, y))
    return ruled(case, lambda make, parameters: make(parameters, maximize=True))


def gradients_not_cleared(case: Case, severity: Severity) -> Case | None:
    """Cleared once an epoch (mild), or never."""
    every = case.steps_per_epoch if severity == "mild" else math.inf

    def forgetful(make: Callable[..., torch.optim.Optimizer], parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer, calls = make(parameters), 0
        clear = optimizer.zero_grad

        def zero_grad(set_to_none: bool = True) -> None:
            nonlocal calls
            if calls and calls % every == 0:
                clear(set_to_none)
            calls += 1

        optimizer.zero_grad = zero_grad  # type: ignore[method-assign]
        return optimizer

    return ruled(case, forgetful)


def stale_or_foreign_parameters(case: Case, severity: Severity) -> Case | None:
    """Built before the last layer was replaced (mild), or over a copy of the model."""

    def stale(make: Callable[..., torch.optim.Optimizer], parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        kept = parameters[:-2] if severity == "mild" else []
        return make(kept + [copy.deepcopy(p) for p in parameters[len(kept) :]])

    return ruled(case, stale)


PLANTS: Mapping[str, Plant] = {
    "wrong-output-size": wrong_output_size,
    "softmax-before-loss": softmax_before_loss,
    "bounded-output": bounded_output,
    "missing-nonlinearity": missing_nonlinearity,
    "symmetric-init": symmetric_init,
    "frozen-parameters": frozen_parameters,
    "unused-parameters": unused_parameters,
    "samples-mixed-in-batch": samples_mixed_in_batch,
    "train-eval-mismatch": train_eval_mismatch,
    "capacity-too-small": capacity_too_small,
    "wrong-loss": wrong_loss,
    "gradient-ascent": gradient_ascent,
    "gradients-not-cleared": gradients_not_cleared,
    "stale-or-foreign-parameters": stale_or_foreign_parameters,
}
