"""Small reference networks, and the way to a user's own: `find_factory`, `Model`."""

from ravine.models.cnn import cnn
from ravine.models.factory import MODELS, Factory, Model, factory_settings, find_factory
from ravine.models.mlp import mlp
from ravine.models.resnet import resnet

__all__ = ["MODELS", "Factory", "Model", "cnn", "factory_settings", "find_factory", "mlp", "resnet"]
