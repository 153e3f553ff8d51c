"""The mathematics of one step: tensors in, tensors out.

`RULES` is the only registry of steps from a gradient; `METHODS` that of second-order methods, which ask for losses
at places of their own choosing and so cannot stand in a training loop's batch.
"""

from ravine.rules.adadelta import Adadelta, AdadeltaState
from ravine.rules.adagrad import Adagrad, AdagradState
from ravine.rules.adam import Adam, AdamState
from ravine.rules.adamax import Adamax, AdamaxState
from ravine.rules.adamw import AdamW
from ravine.rules.bfgs import BFGS
from ravine.rules.lamb import LAMB, LAMBState
from ravine.rules.lbfgs import LBFGS
from ravine.rules.lion import Lion, LionState
from ravine.rules.method import Method
from ravine.rules.minimize import Result, minimize
from ravine.rules.muon import Muon, MuonState
from ravine.rules.nadam import NAdam, NAdamState
from ravine.rules.newton import Newton
from ravine.rules.radam import RAdam, RAdamState
from ravine.rules.rmsprop import RMSprop, RMSpropState
from ravine.rules.rule import Rule
from ravine.rules.schedule_free import (
    ScheduleFreeAdamW,
    ScheduleFreeAdamWState,
    ScheduleFreeSGD,
    ScheduleFreeState,
)
from ravine.rules.sgd import SGD, SGDState
from ravine.rules.shampoo import Shampoo, ShampooState
from ravine.rules.soap import SOAP, SOAPState

__all__ = [
    "BFGS",
    "LAMB",
    "LBFGS",
    "METHODS",
    "RULES",
    "SGD",
    "SOAP",
    "Adadelta",
    "AdadeltaState",
    "Adagrad",
    "AdagradState",
    "Adam",
    "AdamState",
    "AdamW",
    "Adamax",
    "AdamaxState",
    "LAMBState",
    "Lion",
    "LionState",
    "Method",
    "Muon",
    "MuonState",
    "NAdam",
    "NAdamState",
    "Newton",
    "RAdam",
    "RAdamState",
    "RMSprop",
    "RMSpropState",
    "Result",
    "Rule",
    "SGDState",
    "SOAPState",
    "ScheduleFreeAdamW",
    "ScheduleFreeAdamWState",
    "ScheduleFreeSGD",
    "ScheduleFreeState",
    "Shampoo",
    "ShampooState",
    "minimize",
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
    "lion": Lion,
    "lamb": LAMB,
    "muon": Muon,
    "shampoo": Shampoo,
    "soap": SOAP,
    "schedule_free_sgd": ScheduleFreeSGD,
    "schedule_free_adamw": ScheduleFreeAdamW,
}
"""Every step from a gradient by name."""

METHODS: dict[str, type[Method]] = {"newton": Newton, "bfgs": BFGS, "lbfgs": LBFGS}
"""Every method that asks for losses itself, by name."""
