"""broken-augmentation: what is done to the inputs in training destroys them.

Symptom: the score on training rows, taken as they are met in training, stays low; without the augmentation it would not.
Why: an augmentation has to keep the label. Noise louder than the signal, flips of digits and letters, crops without the object,
columns of a table mixed up: the network is taught on inputs that it never meets again, with labels that are not theirs.
Found: in training mode something before the first layer with parameters changes the inputs that in evaluation mode it hands on as
they are; with it switched off the same training learns better. Or the training rows themselves are unlike the held-out ones and
harder than these.
Cure: switch it off, look at ten augmented inputs beside their labels, and take milder ones.
Source: Shorten & Khoshgoftaar 2019, a survey on image data augmentation (section on label-preserving transformations); Cubuk et
al. 2020, RandAugment (the strength that is right).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ravine.diagnosis.case import Case
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.randomness import seeded

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "train-eval-mismatch",
    "under-fitting",
    "over-regularized",
    "too-few-epochs",
    "capacity-too-small",
    "lr-too-low",
    "lr-too-high",
    "label-noise",
    "labels-unrelated",
    "batch-too-small",
    "oscillating-loss",
    "samples-mixed-in-batch",
    "momentum-too-high",
    "decayed-too-early",
    "over-fitting",
    "split-shift",
)

ROWS = 64
APART = 0.8  # area under the ROC curve of training rows against held-out ones; 0.38 to 0.57 on 58 healthy runs
WORSE = 0.1


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    if look.start.raised or look.hurried:
        return
    names = _active(case)
    if not names:
        yield from _in_the_rows(look)
        return
    met, plain = _first_input(case, ()), _first_input(case, names)
    if met is None or plain is None:
        return
    change = float((met - plain).norm() / (plain - plain.mean(0)).norm().clamp_min(1e-12))
    if max(look.shortfall, look.under) < 0.02:
        return
    make = _without(case, names)
    after, base = look.tried(make_model=make), look.base
    won = look.won(after)
    yield Finding(
        "broken-augmentation",
        min(0.97, 0.35 + 0.25 * min(1.0, won / 0.04) + 0.4 * min(1.0, won / 0.25)),
        {"change_of_inputs": change, "gain_without": won},
        f"module {names[0]}" if names[0] else "the model's forward in training mode",
        f"Switch off what {names[0] or 'the model'} does to the inputs in training mode (it changes them by {change:.1f} times their "
        "spread), and bring it back milder.",
        {"make_model": make},
        f"without it, skill on held-out rows {after.held.skill:.3f} instead of "
        f"{f'{base.held.skill:.3f}' if base.finite else 'a loss that is not finite'}",
    )


def _in_the_rows(look: Look) -> Iterator[Finding]:
    """Training rows that were augmented beforehand: unlike the held-out ones, and so spoilt that a model trained and judged on
    both kinds, dealt at random, does worse than on the held-out ones alone.
    """
    if not look.case.given or min(len(look.case.x), len(look.case.held_x)) < ROWS or not look.base.finite:
        return
    area = look.apart[0]
    if area < APART or look.hurried:
        return
    worse = look.base.held.skill - look.dealt_anew.held.skill if look.dealt_anew.finite else 0.0
    if worse < WORSE:
        return
    yield Finding(
        "broken-augmentation",
        0.5 + 0.3 * min(1.0, worse / 0.3),
        {"told_apart": area, "loss_dealt_anew": worse},
        "the training rows",
        "Look at ten training rows beside ten held-out ones and train on rows as they were before the augmentation.",
        {},
        f"with all rows dealt at random, skill on held-out rows {look.dealt_anew.held.skill:.3f} instead of {look.base.held.skill:.3f}",
    )


def _active(case: Case) -> tuple[str, ...]:
    """Names of the modules, none of torch's own, whose training mode changes the inputs of the first layer with parameters."""
    model = case.build()
    own = [
        name for name, module in model.named_modules() if not type(module).__module__.startswith(("torch.", "ravine."))
    ]
    plain, met = _first_input(case, None), _first_input(case, ())
    if plain is None or met is None or met.shape != plain.shape or torch.equal(met, plain):
        return ()
    x = case.x[:ROWS].float().flatten()
    given = plain.float().flatten()
    if given.numel() != x.numel() or not torch.allclose(given.sort().values, x.sort().values, atol=1e-6):
        return ()  # it changes inputs in evaluation mode too, or is no augmentation
    chosen = [name for name in own if _differs(_first_input(case, (name,)), met)]
    return tuple(chosen)


def _differs(a: Tensor | None, b: Tensor) -> bool:
    return a is not None and (a.shape != b.shape or not torch.equal(a, b))


class _FoundError(Exception):
    """Ends a forward pass where the first layer with parameters begins."""


def _first_input(case: Case, still: tuple[str, ...] | None) -> Tensor | None:
    """What the first layer with parameters is given, training mode but for the modules named `still` (None: for all)."""
    model = case.build()
    model.train(still is not None)
    for name, module in model.named_modules():
        if still is not None and name in still:
            module.training = False
    found: list[Tensor] = []

    def listen(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        found.append(inputs[0].detach().clone())
        raise _FoundError

    layers = [
        m
        for m in model.modules()
        if any(True for _ in m.parameters(recurse=False)) and type(m).__module__.startswith("torch.")
    ]
    for layer in layers:
        layer.register_forward_pre_hook(listen)
    try:
        with torch.no_grad(), seeded(case.seed, "first input"):
            model(case.x[:ROWS])
    except _FoundError:
        return found[0]
    except Exception:
        return None
    return None


def _without(case: Case, names: tuple[str, ...]) -> Callable[[], nn.Module]:
    """A factory of the model in which these modules stay in evaluation mode."""

    def make() -> nn.Module:
        model = case.make_model(*case._arguments())
        for name, module in model.named_modules():
            if name in names:
                _keep_still(module)
        return model

    return make


def _keep_still(module: nn.Module) -> None:
    """Its children change their mode as ever; it stays as in evaluation."""

    def stay(mode: bool = True) -> nn.Module:
        for child in module.children():
            child.train(mode)
        module.training = False
        return module

    module.train = stay  # type: ignore[method-assign]
    module.training = False
