"""The mathematics of one step: tensors in, tensors out. `RULES` is the only registry."""

from ravine.rules.adadelta import Adadelta, AdadeltaState
from ravine.rules.adagrad import Adagrad, AdagradState
from ravine.rules.adam import Adam, AdamState
from ravine.rules.adamax import Adamax, AdamaxState
from ravine.rules.adamw import AdamW
from ravine.rules.lamb import LAMB, LAMBState
from ravine.rules.lion import Lion, LionState
from ravine.rules.muon import Muon, MuonState
from ravine.rules.nadam import NAdam, NAdamState
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
    "LAMB",
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
    "Muon",
    "MuonState",
    "NAdam",
    "NAdamState",
    "RAdam",
    "RAdamState",
    "RMSprop",
    "RMSpropState",
    "Rule",
    "SGDState",
    "SOAPState",
    "ScheduleFreeAdamW",
    "ScheduleFreeAdamWState",
    "ScheduleFreeSGD",
    "ScheduleFreeState",
    "Shampoo",
    "ShampooState",
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
