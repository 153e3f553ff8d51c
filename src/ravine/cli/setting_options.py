"""The options that are fields of a `Setting`: one door for each, in the order in which a person meets them.

A test compares them with the fields, for torch must not be imported to read the command line.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

__all__ = ["setting"]


def option(name: str, words: str) -> Any:
    return typer.Option(f"--{name.replace('_', '-')}", help=words, show_default=False)


def setting(
    optimizer: Annotated[str, option("optimizer", "A rule by name: adamw, sgd, lion, muon, ... [adamw]")] = "adamw",
    lr: Annotated[float, option("lr", "Peak learning rate. [0.001]")] = 1e-3,
    weight_decay: Annotated[float, option("weight_decay", "Decay of the weights, as the optimizer means it.")] = 0.0,
    momentum: Annotated[float | None, option("momentum", "Of sgd or another rule that has one. [0.9]")] = None,
    beta1: Annotated[float | None, option("beta1", "Of adamw or another of its kind: share of the mean kept.")] = None,
    beta2: Annotated[float | None, option("beta2", "And of the mean square.")] = None,
    init_scale: Annotated[float, option("init_scale", "Times the initial weights. [1]")] = 1.0,
    schedule: Annotated[str, option("schedule", "cosine, one_cycle, plateau, linear, step, ... [cosine]")] = "cosine",
    cycles: Annotated[int | None, option("cycles", "Of warm_restarts: so many of equal length.")] = None,
    warmup: Annotated[float, option("warmup", "Share of training spent climbing to the peak rate. [0.05]")] = 0.05,
    order: Annotated[int | None, option("order", "Seed of the data order; --seed when not given.")] = None,
    dropout: Annotated[float | None, option("dropout", "Probability of dropping, of every dropout layer.")] = None,
    stochastic_depth: Annotated[
        float | None, option("stochastic_depth", "Probability of dropping the last residual branch, less before it.")
    ] = None,
    l1: Annotated[float, option("l1", "Times the sum of |W|, added to the loss; with --l2 an elastic net.")] = 0.0,
    l2: Annotated[float, option("l2", "Times the sum of W^2, added to the loss.")] = 0.0,
    proximal: Annotated[bool, option("proximal", "l1 and l2 by shrinking after each step: exact zeros.")] = False,
    max_norm: Annotated[float | None, option("max_norm", "Longest that a unit's incoming weights may be.")] = None,
    label_smoothing: Annotated[
        float, option("label_smoothing", "Share of a target that is spread over all classes.")
    ] = 0.0,
    mixup: Annotated[float, option("mixup", "alpha of Beta(alpha, alpha), such as 0.2: mix pairs of examples.")] = 0.0,
    cutmix: Annotated[float, option("cutmix", "alpha, such as 1: paste a box of another image.")] = 0.0,
    cutout: Annotated[float, option("cutout", "Erase a square; its side as a share of the image.")] = 0.0,
    crop: Annotated[int, option("crop", "Images: pad by so many pixels, then crop at random.")] = 0,
    flip: Annotated[float, option("flip", "Images: probability of mirroring left and right, such as 0.5.")] = 0.0,
    flip_vertical: Annotated[float, option("flip_vertical", "Images: and top and bottom.")] = 0.0,
    translate: Annotated[float, option("translate", "Images: furthest shift as a share of the size.")] = 0.0,
    rotate: Annotated[float, option("rotate", "Images: furthest turn in degrees.")] = 0.0,
    brightness: Annotated[float, option("brightness", "Images: largest change, in standard deviations.")] = 0.0,
    contrast: Annotated[float, option("contrast", "Images: largest change of the factor 1.")] = 0.0,
    policy: Annotated[float, option("policy", "Images: two random operations of this magnitude, in [0, 1].")] = 0.0,
) -> dict[str, Any]:
    """The settings as keywords of `ravine.training.Setting`."""
    return dict(locals())
