"""The rules as torch optimizers, by their public names: `from ravine import optim`, then as torch.optim."""

from ravine.engines.groups import groups as groups
from ravine.engines.own_optimizers import LAMB as LAMB
from ravine.engines.own_optimizers import SOAP as SOAP
from ravine.engines.own_optimizers import Lion as Lion
from ravine.engines.own_optimizers import Muon as Muon
from ravine.engines.own_optimizers import ScheduleFreeAdamW as ScheduleFreeAdamW
from ravine.engines.own_optimizers import ScheduleFreeSGD as ScheduleFreeSGD
from ravine.engines.own_optimizers import Shampoo as Shampoo
from ravine.engines.second_order import BFGS as BFGS
from ravine.engines.second_order import LBFGS as LBFGS
from ravine.engines.second_order import Newton as Newton
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
    "BFGS",
    "LAMB",
    "LBFGS",
    "SGD",
    "SOAP",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "NAdam",
    "Newton",
    "RAdam",
    "RMSprop",
    "RuleOptimizer",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Shampoo",
    "groups",
]
