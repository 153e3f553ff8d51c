"""Penalties, the dropout family, mixing and augmentation: what improves the test error."""

from ravine.regularization.draws import keep_mask, permuted, uniform
from ravine.regularization.dropout import Dropout, dropouts, replace_dropout
from ravine.regularization.weights import decaying

__all__ = ["Dropout", "decaying", "dropouts", "keep_mask", "permuted", "replace_dropout", "uniform"]
