"""Small reference networks, and the way to a user's own: `find_factory`, `Model`."""

from ravine.models.cnn import cnn
from ravine.models.factory import MODELS, Factory, Model, find_factory
from ravine.models.mlp import mlp

__all__ = ["MODELS", "Factory", "Model", "cnn", "find_factory", "mlp"]
