"""The rules as torch optimizers, by their public names: `from ravine import optim`, then as torch.optim."""

from ravine.engines.groups import groups as groups
from ravine.engines.torch_face import RuleOptimizer as RuleOptimizer
from ravine.engines.torch_optimizers import SGD as SGD
from ravine.engines.torch_optimizers import Adadelta as Adadelta
from ravine.engines.torch_optimizers import Adagrad as Adagrad
from ravine.engines.torch_optimizers import Adam as Adam
from ravine.engines.torch_optimizers import Adamax as Adamax
from ravine.engines.torch_optimizers import AdamW as AdamW
from ravine.engines.torch_optimizers import NAdam as NAdam
from ravine.engines.torch_optimizers import RAdam as RAdam
from ravine.engines.torch_optimizers import RMSprop as RMSprop

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "RMSprop",
    "RuleOptimizer",
    "groups",
]
