"""The rules as torch optimizers, by their public names: `from ravine import optim`, then as torch.optim."""

from ravine.engines.torch_face import RuleOptimizer as RuleOptimizer
from ravine.engines.torch_optimizers import SGD as SGD
from ravine.engines.torch_optimizers import Adam as Adam
from ravine.engines.torch_optimizers import AdamW as AdamW

__all__ = ["SGD", "Adam", "AdamW", "RuleOptimizer"]
