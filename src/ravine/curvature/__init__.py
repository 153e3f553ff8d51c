"""What a network's own loss surface looks like: spectrum, learning rates, noise, kind of point, slices."""

from ravine.curvature.density import Density, Estimate, spectral_density
from ravine.curvature.inspection import inspect_model
from ravine.curvature.lanczos import Eigenpairs, Extremes, extremes
from ravine.curvature.newton import NewtonDirection, angle, newton_direction
from ravine.curvature.noise import NoiseScale, noise_scale
from ravine.curvature.objective import Objective
from ravine.curvature.operators import Dense, Operator, Products, gauss_newton, hessian
from ravine.curvature.point import Index
from ravine.curvature.rates import largest_rate, steps_to_halve
from ravine.curvature.record import Curvature, Direction, NewtonAngle, Points
from ravine.curvature.slices import (
    Line,
    Plane,
    along_gradient,
    between,
    filter_normalized,
    line,
    plane,
    plane_through,
)
from ravine.curvature.trace import Trace, trace_of

__all__ = [
    "Curvature",
    "Dense",
    "Density",
    "Direction",
    "Eigenpairs",
    "Estimate",
    "Extremes",
    "Index",
    "Line",
    "NewtonAngle",
    "NewtonDirection",
    "NoiseScale",
    "Objective",
    "Operator",
    "Plane",
    "Points",
    "Products",
    "Trace",
    "along_gradient",
    "angle",
    "between",
    "extremes",
    "filter_normalized",
    "gauss_newton",
    "hessian",
    "inspect_model",
    "largest_rate",
    "line",
    "newton_direction",
    "noise_scale",
    "plane",
    "plane_through",
    "spectral_density",
    "steps_to_halve",
    "trace_of",
]
