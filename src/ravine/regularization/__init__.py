"""Penalties, the dropout family, mixing and augmentation: what improves the test error."""

from ravine.regularization.dropout import Dropout, dropouts, keep_mask, replace_dropout

__all__ = ["Dropout", "dropouts", "keep_mask", "replace_dropout"]
