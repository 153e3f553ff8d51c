"""Steps 4 and 5: what the search has taught, in pictures, and in a line for each thing that it could not teach."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.reports.figures.axes import finite
from ravine.reports.figures.grid_or_random import grid_or_random
from ravine.reports.figures.importance import importance
from ravine.reports.figures.more_trials import more_trials
from ravine.reports.figures.picture import Picture
from ravine.reports.figures.search import colour_axis
from ravine.reports.records import GridOrRandom, Importance, Learnt, LeftOut, MoreTrials
from ravine.reports.study import Trial

__all__ = ["learnt", "not_learnt"]


def learnt(prefix: str, found: Learnt, trials: Sequence[Trial], score: str, smaller_is_better: bool) -> list[Picture]:
    """A picture of everything that applies. prefix: of the pictures' names; trials: the study's."""
    pictures = []
    if isinstance(found.importance, Importance):
        pictures.append(importance(f"{prefix}-importance", found.importance, found.step))
    if isinstance(found.more_trials, MoreTrials):
        pictures.append(more_trials(f"{prefix}-more-trials", found.more_trials, score, smaller_is_better))
    if isinstance(found.grid_or_random, GridOrRandom):
        values = finite([place[3] for place in found.grid_or_random.places])
        colours = colour_axis(values, score, smaller_is_better)
        pictures.append(grid_or_random(f"{prefix}-grid-random", found.grid_or_random, trials, score, colours))
    return pictures


def not_learnt(found: Learnt) -> list[str]:
    """A line for everything that does not apply, with its reason."""
    asked = (
        ("Which hyper-parameters mattered", found.importance),
        ("Whether more trials would help", found.more_trials),
        ("A grid against random trials", found.grid_or_random),
    )
    return [f"{question} is not told: {answer.why}." for question, answer in asked if isinstance(answer, LeftOut)]
