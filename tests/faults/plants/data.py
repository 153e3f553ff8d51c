"""Faults of the data, planted: rows, labels and splits are changed, model and settings are not (but for an augmentation)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ravine.diagnosis import Case
from ravine.randomness import generator, permutation

from .kinds import Plant, Severity

__all__ = ["PLANTS"]


def nan_input(case: Case, severity: Severity) -> Case | None:
    """Mild: one value of every five hundredth row. Severe: a twentieth of all values."""
    if not case.x.dtype.is_floating_point:
        return None
    x, draw = case.x.clone(), generator(0, "nan")
    flat = x.reshape(len(x), -1)
    if severity == "mild":
        flat[::500, flat.shape[1] // 2] = math.nan
    else:
        flat[torch.rand(flat.shape, generator=draw) < 0.05] = math.nan
    return case.but(x=flat.reshape(x.shape))


def label_range(case: Case, severity: Severity) -> Case | None:
    """Mild: every hundredth label is the class after the last. Severe: labels begin at one."""
    if case.task == "regression":
        return None
    if severity == "mild":
        y = case.y.clone()
        y[50::100] = case.classes
        return case.but(y=y)
    return case.but(y=case.y + 1, held_y=case.held_y + 1)


def constant_feature(case: Case, severity: Severity) -> Case | None:
    """Mild: one of the features that vary most is its mean on all rows. Severe: a third of the features are, at one."""
    x, held = case.x.clone(), case.held_x.clone()
    flat, flat_held = x.reshape(len(x), -1), held.reshape(len(held), -1)
    order = flat.std(0).argsort(descending=True)
    chosen = order[len(order) // 3 :][:1] if severity == "mild" else order[: max(1, len(order) // 3)]
    value = flat[:, chosen].mean(0) if severity == "mild" else torch.ones(len(chosen))
    flat[:, chosen], flat_held[:, chosen] = value, value
    return case.but(x=x, held_x=held)


def unscaled_input(case: Case, severity: Severity) -> Case | None:
    """Columns of a table in units of their own (to 300 times as large, or 30,000); the values of an image as 0 .. 255 and beyond."""
    if case.x.ndim > 2:
        scale, shift = (torch.tensor(80.0), 100.0) if severity == "mild" else (torch.tensor(2000.0), 3000.0)
    else:
        powers = torch.rand(case.x.shape[1], generator=generator(0, "units")) * 2.5 + (
            0.0 if severity == "mild" else 2.0
        )
        scale, shift = 10**powers, 0.0
    return case.but(x=case.x * scale + shift, held_x=case.held_x * scale + shift)


def double_scaling(case: Case, severity: Severity) -> Case | None:
    """All inputs divided once more: by 60, or by 2,550."""
    by = 60.0 if severity == "mild" else 2550.0
    return case.but(x=case.x / by, held_x=case.held_x / by)


def target_unscaled(case: Case, severity: Severity) -> Case | None:
    if case.task == "classification":
        return None
    scale, shift = (40.0, 100.0) if severity == "mild" else (2000.0, 5000.0)
    return case.but(y=case.y * scale + shift, held_y=case.held_y * scale + shift)


def class_imbalance(case: Case, severity: Severity) -> Case | None:
    """A third of the classes kept at 1 row of 67, or of 100, two rows at least; the held-out ones at a fifth, or as they were."""
    if case.task == "regression":
        return None
    rare = max(1, case.classes // 3)
    share = 0.015 if severity == "mild" else 0.01
    kept = _thinned(case.labels, rare, share)
    held = _thinned(case.but(y=case.held_y).labels, rare, 0.2 if severity == "mild" else 1.0)
    return case.but(x=case.x[kept], y=case.y[kept], held_x=case.held_x[held], held_y=case.held_y[held])


def _thinned(labels: Tensor, classes: int, share: float) -> Tensor:
    """Rows that are left when of the first `classes` only a share is kept."""
    kept = labels >= classes
    for c in range(classes):
        rows = (labels == c).nonzero()[:, 0]
        kept[rows[: max(2, math.ceil(share * len(rows)))]] = True
    return kept.nonzero()[:, 0]


def leak_between_splits(case: Case, severity: Severity) -> Case | None:
    """A seventh of the held-out rows, or all, are training rows."""
    count = len(case.held_x) if severity == "severe" else len(case.held_x) // 7
    rows = permutation(len(case.x), 0, "leak")[:count]
    count = len(rows)
    x, y = case.held_x.clone(), case.held_y.clone()
    x[:count], y[:count] = case.x[rows], case.y[rows]
    return case.but(held_x=x, held_y=y)


def split_shift(case: Case, severity: Severity) -> Case | None:
    """Mild: held out are mostly the rows that lie farthest along a direction. Severe: those with the largest targets."""
    x, y = torch.cat([case.x, case.held_x]), torch.cat([case.y, case.held_y])
    if severity == "severe":
        score = y.float() + 0.01 * torch.rand(len(y), generator=generator(0, "ties"))
    else:
        flat = x.flatten(1).float()
        first = torch.linalg.eigh(torch.cov(flat.T))[1][:, -1]
        along = flat @ first
        score = along / along.std() + 0.3 * torch.randn(len(x), generator=generator(0, "shift"))
    order = score.argsort()
    cut = len(case.x)
    return case.but(x=x[order[:cut]], y=y[order[:cut]], held_x=x[order[cut:]], held_y=y[order[cut:]])


def too_few_samples(case: Case, severity: Severity) -> Case | None:
    """Five rows a class (forty for a regression), or three (fifteen); as many steps as before."""
    if case.task == "regression":
        rows = torch.arange(40 if severity == "mild" else 15)
    else:
        each = 5 if severity == "mild" else 3
        rows = torch.cat([(case.labels == c).nonzero()[:each, 0] for c in range(case.classes)])
    size = min(case.batch_size, len(rows))
    epochs = math.ceil(case.steps / (len(rows) // size))
    return case.but(x=case.x[rows], y=case.y[rows], batch_size=size, epochs=epochs)


def label_noise(case: Case, severity: Severity) -> Case | None:
    """A fifth of the training labels drawn anew; or 45 % (two classes: 30 %), and of the held-out labels unless in a regression."""
    share = 0.2 if severity == "mild" else 0.45
    if case.task == "classification" and severity == "severe" and case.classes == 2:
        share = 0.3
    y, held = _noisy(case, case.y, share, "train"), case.held_y
    return case.but(
        y=y, held_y=held if severity == "mild" or case.task == "regression" else _noisy(case, held, share, "held")
    )


def _noisy(case: Case, y: Tensor, share: float, split: str) -> Tensor:
    """Another class (a regression: the target of another row) for a share of the rows."""
    draw = generator(0, "noise", split)
    wrong = torch.rand(len(y), generator=draw) < share
    if case.task == "regression":
        other = y[permutation(len(y), 0, "noise", split)]
    else:
        other = (y + torch.randint(1, case.classes, y.shape, generator=draw)) % case.classes
    return torch.where(wrong, other, y)


def labels_unrelated(case: Case, severity: Severity) -> Case | None:
    """Targets of other rows: for nine rows in ten, or for all, in both splits."""
    share = 0.9 if severity == "mild" else 1.0

    def mixed(y: Tensor, split: str) -> Tensor:
        y, order = y.clone(), permutation(len(y), 0, "rows", split)
        order = order[: math.ceil(share * len(y))]
        y[order] = y[order.roll(1)]
        return y

    return case.but(y=mixed(case.y, "train"), held_y=mixed(case.held_y, "held"))


class Augmentation(nn.Module):
    """In training mode, adds noise `noise` times as large as the inputs' deviation, or mixes up the values of every row."""

    def __init__(self, noise: float, mixing: bool) -> None:
        super().__init__()
        self.noise, self.mixing = noise, mixing

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        if self.mixing:
            flat = x.flatten(1)
            x = flat.gather(1, torch.rand(flat.shape).argsort(1)).reshape(x.shape)
        return x + self.noise * x.std() * torch.randn_like(x)


def broken_augmentation(case: Case, severity: Severity) -> Case | None:
    """Noise twice as large as the signal, or values of a row in another order every time."""
    return case.but(
        make_model=lambda: nn.Sequential(
            Augmentation(2.0 if severity == "mild" else 0.0, severity == "severe"), case.build()
        )
    )


PLANTS: Mapping[str, Plant] = {
    "nan-input": nan_input,
    "label-range": label_range,
    "constant-feature": constant_feature,
    "unscaled-input": unscaled_input,
    "double-scaling": double_scaling,
    "target-unscaled": target_unscaled,
    "class-imbalance": class_imbalance,
    "leak-between-splits": leak_between_splits,
    "split-shift": split_shift,
    "too-few-samples": too_few_samples,
    "label-noise": label_noise,
    "labels-unrelated": labels_unrelated,
    "broken-augmentation": broken_augmentation,
}
"""Faults of the group, planted."""
