"""The lecture's comparison on Rosenbrock's banana: rates and numbers of steps, rule by rule."""

from __future__ import annotations

from ravine.landscapes import Configuration, Path, follow, named_rule, surface
from ravine.reports.figures.picture import blank
from ravine.reports.gallery.chapter import Chapter, Figure
from ravine.reports.landscape.contours import ground
from ravine.reports.landscape.drawing import Drawing, Line, Panel, drawn_panels
from ravine.reports.landscape.shades import ground_scale, stroke
from ravine.reports.theme import LIGHT
from ravine.reports.wording import number

__all__ = ["ROSENBROCK"]

STEPS = 5000
START = (-1.2, 1.0)
FIVE = ((1, 1), (10, 1), (100, 1), (1, 2), (10, 2))
"""(times the first rate, times STEPS) of each path, as the lecture lists them."""
SIX = (*FIVE, (100, 2))


def paths(rule: str, first: float, pairs: tuple[tuple[int, int], ...], **settings: float) -> list[tuple[Path, int]]:
    """The path of each pair, and how many steps of it are asked for; the shorter ones are the beginning of the longer."""
    made = named_rule(rule, **settings)
    most = {times: max(n for other, n in pairs if other == times) for times, _ in pairs}
    walked: dict[int, Path] = {}
    for n in set(most.values()):
        times = [t for t, longest in most.items() if longest == n]
        found = follow(surface("rosenbrock"), [Configuration(made, first * t, START) for t in times], steps=n * STEPS)
        walked.update(zip(times, found, strict=True))
    return [(walked[times], n * STEPS) for times, n in pairs]


def panels(rule: str, first: float, pairs: tuple[tuple[int, int], ...], **settings: float) -> Drawing:
    """A panel for each pair; one rate has one colour, whatever the number of steps."""
    rates = list(dict.fromkeys(times for times, _ in pairs))
    shown = []
    for (path, steps), (times, _) in zip(paths(rule, first, pairs, **settings), pairs, strict=True):
        look = stroke(rates.index(times))
        rate = number(first * times)
        title = f"lr {rate}, {steps:,} steps"
        if path.stopped == "diverged" and path.steps < steps:
            title += f": diverges after step {path.steps}"
        shown.append(Panel(title, [Line(path, f"lr {rate}", look, steps=steps)], look.colour))
    return drawn_panels(surface("rosenbrock"), shown)


def heights() -> Drawing:
    """The surface in three dimensions: log10(f + eps)."""
    field = ground(surface("rosenbrock"), (-2.0, 2.0, -1.0, 3.0))
    figure = blank(height=520)
    figure.add_surface(
        x=field.x,
        y=field.y,
        z=field.heights,
        colorscale=ground_scale(),
        showscale=False,
        lighting={"ambient": 0.95, "diffuse": 0.3, "specular": 0.0},
        contours={"z": {"show": True, "color": LIGHT.quiet, "width": 1, "start": -1, "end": 4, "size": 0.25}},
        hovertemplate="(%{x:.2f}, %{y:.2f}): log10(f + eps) = %{z:.2f}<extra></extra>",
    )
    low = float(field.heights.min())
    figure.add_scatter3d(
        x=[1.0],
        y=[1.0],
        z=[low],
        mode="markers",
        marker={"size": 5, "color": LIGHT.red},
        hovertemplate="minimum (1, 1)<extra></extra>",
        showlegend=False,
    )
    axis = {
        "backgroundcolor": LIGHT.card,
        "gridcolor": LIGHT.grid,
        "linecolor": LIGHT.line,
        "color": LIGHT.quiet,
        "zeroline": False,
        "showspikes": False,
        "nticks": 5,
    }
    names = {"xaxis": "x", "yaxis": "y", "zaxis": "log₁₀(f + ε)"}
    figure.update_layout(
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        scene={
            **{key: {**axis, "title": {"text": name}} for key, name in names.items()},
            "aspectratio": {"x": 1.2, "y": 1.2, "z": 0.7},
            "camera": {"eye": {"x": -1.25, "y": -1.6, "z": 1.15}, "center": {"x": 0, "y": 0, "z": -0.2}},
        },
    )
    return Drawing(figure)


def from_above() -> Drawing:
    """The level lines of log10(f + eps)."""
    return drawn_panels(surface("rosenbrock"), [Panel("log₁₀(f + ε) from above", [])], losses=False)


def compared(
    name: str, title: str, caption: str, rule: str, first: float, pairs: tuple[tuple[int, int], ...], **settings: float
) -> Figure:
    return Figure(name, title, caption, lambda: panels(rule, first, pairs, **settings))


ROSENBROCK = Chapter(
    "rosenbrock",
    "The banana",
    (
        "Rosenbrock's function (x - 1)² + 100 (y - x²)² has a curved valley: to fall into it is easy, to follow it to the minimum at "
        "(1, 1) is not. Heights are drawn as log₁₀(f + ε), or the walls would hide the valley.",
        "Each figure below shows the first rate η₀, 10 η₀ and 100 η₀ for 5,000 steps, and again for 10,000. All start at the customary "
        "(-1.2, 1): from (4, 0.5), where the paths above start, 100 η₀ throws descent and momentum off at the first step.",
    ),
    (
        Figure(
            "rosenbrock-3d",
            "The valley, seen from the side",
            "Turn it: the floor of the valley is nearly level along its whole bend.",
            heights,
        ),
        Figure(
            "rosenbrock-above",
            "The valley, seen from above",
            "The star is the minimum. Level lines are evenly apart in the logarithm.",
            from_above,
        ),
        compared(
            "rosenbrock-gd",
            "Gradient descent, η₀ = 1e-5",
            "All of them fall into the valley at once; from there only the largest rate comes near the minimum, and twice the steps "
            "is worth much less than ten times the rate.",
            "gd",
            1e-5,
            FIVE,
        ),
        compared(
            "rosenbrock-momentum-9",
            "Momentum 0.9, η₀ = 1e-5",
            "The same rates carry ten times as far. With 100 η₀ it arrives.",
            "momentum",
            1e-5,
            FIVE,
            momentum=0.9,
        ),
        compared(
            "rosenbrock-momentum-5",
            "Momentum 0.5, η₀ = 1e-5",
            "Half the memory is worth a factor of two, no more.",
            "momentum",
            1e-5,
            FIVE,
            momentum=0.5,
        ),
        compared(
            "rosenbrock-nesterov",
            "Nesterov 0.9, η₀ = 1e-5",
            "As far as momentum goes, with less swinging when the path turns into the valley.",
            "nesterov",
            1e-5,
            FIVE,
            momentum=0.9,
        ),
        compared(
            "rosenbrock-adagrad",
            "AdaGrad, η₀ = 0.01",
            "The first gradients are huge and stay in the sum for ever: η₀ stalls where it enters the valley, 10 η₀ creeps round, and "
            "100 η₀ arrives, after its first steps threw it about.",
            "adagrad",
            0.01,
            SIX,
        ),
        compared(
            "rosenbrock-adam",
            "Adam, η₀ = 0.001",
            "η₀ nearly arrives in 10,000 steps, 10 η₀ in 5,000; 100 η₀, too, though it first jumps up the wall.",
            "adam",
            0.001,
            SIX,
        ),
    ),
)
