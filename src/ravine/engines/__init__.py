"""Ways to run a rule: as a torch optimizer, over packed parameters, over a population of K trials."""

from ravine.engines.choice import Choice, Engine
from ravine.engines.from_torch import FromTorch
from ravine.engines.loss import Loss
from ravine.engines.packing import Layout
from ravine.engines.population import Population, Precision, StepRecord

__all__ = ["Choice", "Engine", "FromTorch", "Layout", "Loss", "Population", "Precision", "StepRecord"]
