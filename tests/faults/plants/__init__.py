"""Faults planted in healthy trainings, by name. A plant gives the case with the fault in it, or None where it has no meaning."""

from __future__ import annotations

from collections.abc import Mapping

from .data import PLANTS as DATA
from .kinds import Plant, Severity
from .model import PLANTS as MODEL
from .optimization import PLANTS as OPTIMIZATION
from .signals import PLANTS as SIGNALS

__all__ = ["PLANTS", "Plant", "Severity"]

PLANTS: Mapping[str, Plant] = {**DATA, **MODEL, **SIGNALS, **OPTIMIZATION}
