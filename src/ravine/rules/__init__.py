"""The mathematics of one step: tensors in, tensors out. `RULES` is the only registry."""

from ravine.rules.adam import Adam, AdamState
from ravine.rules.adamw import AdamW
from ravine.rules.rule import Rule
from ravine.rules.sgd import SGD, SGDState

__all__ = ["RULES", "SGD", "Adam", "AdamState", "AdamW", "Rule", "SGDState"]

RULES: dict[str, type[Rule]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
