"""Spaces, samplers, the study, successive halving, and what a finished search has taught. Built on Optuna."""

from ravine.search.address import kept, without_password
from ravine.search.after import after_search
from ravine.search.comparable import Compared, comparable, same_ranges
from ravine.search.grid_or_random import grid_or_random
from ravine.search.grouping import structures
from ravine.search.halving import Climb, Outcome, climb, survivors
from ravine.search.hyperparameters import KNOWN, SEARCHED, applying, capped, check_names, samples
from ravine.search.importance import importance
from ravine.search.known import known_settings
from ravine.search.more_trials import expected_best, more_trials
from ravine.search.on_ray import OnRay, connected, parse_workers, room_for, the_ray
from ravine.search.own_study import Objective, objective
from ravine.search.parse import parse_space
from ravine.search.plan import Plan, coarse_plan, fit_trials, refine_plan, waves
from ravine.search.samplers import LEARNING_FROM, SAMPLERS, RepeatableSampler
from ravine.search.space import Choice, Distribution, Int, Log, Space, Uniform, around, edge_of, share_of
from ravine.search.study import STUDY_NAME, Asked, Study, measured
from ravine.search.study_server import StudyServer
from ravine.search.workers import Workers, check_workers

__all__ = [
    "KNOWN",
    "LEARNING_FROM",
    "SAMPLERS",
    "SEARCHED",
    "STUDY_NAME",
    "Asked",
    "Choice",
    "Climb",
    "Compared",
    "Distribution",
    "Int",
    "Log",
    "Objective",
    "OnRay",
    "Outcome",
    "Plan",
    "RepeatableSampler",
    "Space",
    "Study",
    "StudyServer",
    "Uniform",
    "Workers",
    "after_search",
    "applying",
    "around",
    "capped",
    "check_names",
    "check_workers",
    "climb",
    "coarse_plan",
    "comparable",
    "connected",
    "edge_of",
    "expected_best",
    "fit_trials",
    "grid_or_random",
    "importance",
    "kept",
    "known_settings",
    "measured",
    "more_trials",
    "objective",
    "parse_space",
    "parse_workers",
    "refine_plan",
    "room_for",
    "same_ranges",
    "samples",
    "share_of",
    "structures",
    "survivors",
    "the_ray",
    "waves",
    "without_password",
]
