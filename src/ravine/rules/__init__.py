"""The mathematics of one step: tensors in, tensors out. `RULES` is the only registry."""

from ravine.rules.adadelta import Adadelta, AdadeltaState
from ravine.rules.adagrad import Adagrad, AdagradState
from ravine.rules.adam import Adam, AdamState
from ravine.rules.adamax import Adamax, AdamaxState
from ravine.rules.adamw import AdamW
from ravine.rules.nadam import NAdam, NAdamState
from ravine.rules.radam import RAdam, RAdamState
from ravine.rules.rmsprop import RMSprop, RMSpropState
from ravine.rules.rule import Rule
from ravine.rules.sgd import SGD, SGDState

__all__ = [
    "RULES",
    "SGD",
    "Adadelta",
    "AdadeltaState",
    "Adagrad",
    "AdagradState",
    "Adam",
    "AdamState",
    "AdamW",
    "Adamax",
    "AdamaxState",
    "NAdam",
    "NAdamState",
    "RAdam",
    "RAdamState",
    "RMSprop",
    "RMSpropState",
    "Rule",
    "SGDState",
]

RULES: dict[str, type[Rule]] = {
    "sgd": SGD,
    "adagrad": Adagrad,
    "rmsprop": RMSprop,
    "adadelta": Adadelta,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": NAdam,
    "radam": RAdam,
    "adamax": Adamax,
}
