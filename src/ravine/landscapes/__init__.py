"""Surfaces with known minima, exact quadratic theory, and the paths of rules over them."""

from ravine.landscapes.named_rules import named_rule, rule_names
from ravine.landscapes.paths import FAR, TOLERANCE, Configuration, Path, follow, walk
from ravine.landscapes.surface import Surface
from ravine.landscapes.surfaces import SURFACES, surface
from ravine.landscapes.theory import Theory, radius, stability_map, theory_of

__all__ = [
    "FAR",
    "SURFACES",
    "TOLERANCE",
    "Configuration",
    "Path",
    "Surface",
    "Theory",
    "follow",
    "named_rule",
    "radius",
    "rule_names",
    "stability_map",
    "surface",
    "theory_of",
    "walk",
]
