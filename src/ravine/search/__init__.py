"""Spaces, samplers, successive halving. Built on Optuna."""

from ravine.search.halving import Outcome, climb, survivors
from ravine.search.plan import Plan, coarse_plan, fit_trials, refine_plan
from ravine.search.space import (
    KNOWN,
    SEARCHED,
    Choice,
    Distribution,
    Log,
    Space,
    Uniform,
    around,
    capped,
    check_names,
    edge_of,
    parse_space,
    samples,
)
from ravine.search.study import STUDY_NAME, Asked, Study

__all__ = [
    "KNOWN",
    "SEARCHED",
    "STUDY_NAME",
    "Asked",
    "Choice",
    "Distribution",
    "Log",
    "Outcome",
    "Plan",
    "Space",
    "Study",
    "Uniform",
    "around",
    "capped",
    "check_names",
    "climb",
    "coarse_plan",
    "edge_of",
    "fit_trials",
    "parse_space",
    "refine_plan",
    "samples",
    "survivors",
]
