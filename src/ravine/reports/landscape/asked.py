"""What a landscape is asked for: in words, as the command line takes them, so that every picture knows its command."""

from __future__ import annotations

import dataclasses
import inspect
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ravine.errors import SettingError, nearest
from ravine.landscapes import SURFACES, Configuration, Path, Surface, follow, named_rule, surface
from ravine.rules import Method, Rule

__all__ = ["Arrangement", "Asked", "Walked", "walked"]

Arrangement = Literal["rules", "rates", "race"]
"""A panel for each rule, with a slider over rates; a panel for each rate; or all rules on one surface."""

MOST_PATHS = 200
MOST_STEPS = 1_000_000
MOST_PLACES = 20_000_000  # points of all paths together: 480 MB with their losses


@dataclass(frozen=True)
class Asked:
    """Which rules walk over which surface, and how it is drawn.

    Raises SettingError, one line, for a rate, a start or a number of steps that cannot be walked.
    """

    surface: str  # a name of SURFACES, or text in x and y
    rules: tuple[str, ...]  # as `named_rule` takes them
    lrs: tuple[float, ...] = ()  # second-order methods need none
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the rules, and of the surface
    starts: tuple[tuple[float, ...], ...] = ()  # the surface's own when empty
    steps: int = 100
    arrangement: Arrangement = "rules"
    seed: int = 0  # of the noise of a noisy surface

    def __post_init__(self) -> None:
        for lr in self.lrs:
            if not 0 < lr < math.inf:
                raise SettingError(f"--lr is {lr!r}; a learning rate must be a positive number: write 0.01.")
        if not 1 <= self.steps <= MOST_STEPS:
            raise SettingError(f"--steps is {self.steps}; it must lie between 1 and {MOST_STEPS:,}.")
        for what, values in (("--lr", self.lrs), ("--rule", self.rules)):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise SettingError(f"{what} {twice} is given twice: write each once.")
        paths = len(self.rules) * max(1, len(self.lrs)) * max(1, len(self.starts))
        if paths > MOST_PATHS:
            raise SettingError(f"{paths} paths are asked for; a picture holds {MOST_PATHS}: leave some rates out.")
        if paths * self.steps > MOST_PLACES:
            raise SettingError(
                f"{paths} paths of {self.steps} steps do not fit into memory together: "
                f"write --steps {MOST_PLACES // paths} or less."
            )
        assert self.arrangement in get_args(Arrangement)

    def command(self, out: str) -> str:
        """The words that draw this picture into the file `out`.

        >>> Asked("ravine50", ("gd",), (0.001, 0.02), starts=((4.0, 0.5),), arrangement="rates").command("paths.html")
        'ravine landscape --surface ravine50 --rule gd --lr 0.001 0.02 --start 4 0.5 --steps 100 --apart --out paths.html'
        """
        words = ["ravine", "landscape", "--surface", self.surface, "--rule", *self.rules]
        if self.settings:
            words += ["--set", *(f"{name}={_word(value)}" for name, value in self.settings.items())]
        if self.lrs:
            words += ["--lr", *(f"{lr:g}" for lr in self.lrs)]
        for start in self.starts:
            words += ["--start", *(f"{value:g}" for value in start)]
        words += ["--steps", str(self.steps)]
        words += {"rules": [], "rates": ["--apart"], "race": ["--race"]}[self.arrangement]
        if self.seed:
            words += ["--seed", str(self.seed)]
        return shlex.join([*words, "--out", out])


@dataclass(frozen=True, eq=False)
class Walked:
    """The paths that were asked for. A path belongs to (its rule, its rate); the starts of one pair share a colour."""

    asked: Asked
    surface: Surface
    paths: tuple[Path, ...]
    names: tuple[str, ...]  # of each path's rule, as it was asked for
    rates: tuple[float | None, ...]  # of each path; None for a method, which has a rate of its own


def walked(asked: Asked) -> Walked:
    """Walk the paths. Raises SettingError for what is not known, with the nearest name, and for a start that cannot be used."""
    made = {name: named_rule(name) for name in asked.rules}
    ground, settings = _told_apart(asked, made)
    rules = {name: named_rule(name, **settings[name]) for name in asked.rules}
    if not asked.lrs and any(isinstance(rule, Rule) for rule in rules.values()):
        raise SettingError("there is no learning rate: write --lr 0.01, or several, --lr 0.001 0.01.")
    names: list[str] = []
    rates: list[float | None] = []
    walkers = []
    for name, rule in rules.items():
        for rate in [None] if isinstance(rule, Method) else asked.lrs:
            for start in asked.starts or (ground.start,):
                names.append(name)
                rates.append(rate)
                walkers.append(Configuration(rule, _rate(rule) if rate is None else rate, start))
    paths = follow(ground, walkers, steps=asked.steps, seed=asked.seed)
    return Walked(asked, ground, tuple(paths), tuple(names), tuple(rates))


def _rate(rule: Rule | Method) -> float:
    return float(getattr(rule, "lr", 1.0))


def _told_apart(asked: Asked, made: Mapping[str, Rule | Method]) -> tuple[Surface, dict[str, dict[str, Any]]]:
    """The surface and the settings of each rule: a setting goes to all that have one of its name."""
    fields = {name: {each.name for each in dataclasses.fields(rule)} for name, rule in made.items()}  # type: ignore[arg-type]  # all are dataclasses
    shape = set(inspect.signature(SURFACES[asked.surface]).parameters) if asked.surface in SURFACES else set()
    for key in asked.settings:
        if key not in shape.union(*fields.values()):
            raise SettingError(
                f"--set {key}: neither {' nor '.join(made)} nor the surface has a {key}; "
                f"{nearest(key, shape.union(*fields.values()))}"
            )
    ground = surface(asked.surface, **{key: value for key, value in asked.settings.items() if key in shape})
    return ground, {
        name: {key: value for key, value in asked.settings.items() if key in known} for name, known in fields.items()
    }


def _word(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) + "," * (len(value) == 1)
    return str(value).lower() if isinstance(value, bool) else str(value)
