"""Penalties, the dropout family, mixing and augmentation: what improves the test error."""

from ravine.regularization.augmentation import (
    AUGMENTATIONS,
    Augment,
    Augmentation,
    Brightness,
    Contrast,
    HorizontalFlip,
    RandAugment,
    RandomCrop,
    Rotate,
    Translate,
    VerticalFlip,
)
from ravine.regularization.cutmix import CutMix
from ravine.regularization.cutout import Cutout
from ravine.regularization.draws import keep_mask, permuted, uniform
from ravine.regularization.drop_connect import DropConnect
from ravine.regularization.dropout import Dropout, SpatialDropout, VanillaDropout, dropouts
from ravine.regularization.early_stopping import EarlyStopping
from ravine.regularization.label_smoothing import LabelSmoothing
from ravine.regularization.max_norm import MaxNorm
from ravine.regularization.mixing import Mixing
from ravine.regularization.mixup import Mixup
from ravine.regularization.monte_carlo import MCPrediction, mc_predict
from ravine.regularization.noise import Noise, noises, set_rows, set_step
from ravine.regularization.penalties import L1, L2, ElasticNet, Penalty
from ravine.regularization.replace import replace_dropout
from ravine.regularization.stochastic_depth import StochasticDepth
from ravine.regularization.targets import soft_targets
from ravine.regularization.weights import chosen, decaying

__all__ = [
    "AUGMENTATIONS",
    "L1",
    "L2",
    "Augment",
    "Augmentation",
    "Brightness",
    "Contrast",
    "CutMix",
    "Cutout",
    "DropConnect",
    "Dropout",
    "EarlyStopping",
    "ElasticNet",
    "HorizontalFlip",
    "LabelSmoothing",
    "MCPrediction",
    "MaxNorm",
    "Mixing",
    "Mixup",
    "Noise",
    "Penalty",
    "RandAugment",
    "RandomCrop",
    "Rotate",
    "SpatialDropout",
    "StochasticDepth",
    "Translate",
    "VanillaDropout",
    "VerticalFlip",
    "chosen",
    "decaying",
    "dropouts",
    "keep_mask",
    "mc_predict",
    "noises",
    "permuted",
    "replace_dropout",
    "set_rows",
    "set_step",
    "soft_targets",
    "uniform",
]
