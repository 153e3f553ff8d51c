"""The learning rate of a network: too low to too high, and its shape over a run."""

from __future__ import annotations

import torch

from ravine.reports.figures.axes import log_axis
from ravine.reports.figures.picture import blank
from ravine.reports.gallery.chapter import Chapter, Figure
from ravine.reports.gallery.digits import digits, trained
from ravine.reports.landscape.drawing import Drawing
from ravine.reports.landscape.sheet import Sheet
from ravine.reports.theme import LIGHT
from ravine.schedules import SCHEDULES, Constant, Cosine, InverseSqrt, Linear, Schedule, Warmup, needs_metrics, table
from ravine.training import Setting

__all__ = ["RATES"]

STEPS = 300
FOLLOWED_STEPS = 1500
POINTS = 400
WARM_STEPS, WARM_UP = 50_000, 5_000


def loss_rates() -> Drawing:
    """Training loss of one network with Adam at four rates."""
    words = {1e-4: "too low", 0.01: "good", 0.1: "high", 1.0: "too high"}
    settings = [Setting(optimizer="adam", lr=lr, schedule="constant", warmup=0.0, order=0) for lr in words]
    run = trained(digits(), (64,), settings, STEPS)
    figure = blank("step", "training loss", height=360)
    looks = ((LIGHT.blue, "dot"), (LIGHT.green, "solid"), (LIGHT.orange, "dashdot"), (LIGHT.red, "dash"))
    for k, ((lr, name), (colour, dash)) in enumerate(zip(words.items(), looks, strict=True)):
        epochs = run.history.epochs(k)
        figure.add_scatter(
            x=epochs["step"],
            y=epochs["train_loss"],
            mode="lines",
            name=f"{name}: lr {lr:g}",
            line={"color": colour, "dash": dash, "width": 2.5},
            hovertemplate=f"lr {lr:g}, step %{{x}}: %{{y:.4g}}<extra></extra>",
        )
    log_axis(figure, "y", [0.001, 10.0])
    figure.update_yaxes(range=[-2.9, 1.1])
    figure.update_layout(margin_t=44)
    return Drawing(figure)


def schedules() -> Drawing:
    """Every schedule of SCHEDULES as it comes; the one that follows a metric as it was run."""
    columns = 4
    rows = -(-len(SCHEDULES) // columns)
    sheet = Sheet([(120, columns)] * rows, legend=False)
    for k, (name, make) in enumerate(SCHEDULES.items()):
        row, column = divmod(k, columns)
        schedule = make()
        last = k + columns >= len(SCHEDULES)
        place = sheet.cell(row, column, name, "progress" if last else "", "share of peak" if column == 0 else "")
        if needs_metrics(schedule):
            x, y = followed(name)
        else:
            x, y = [t / POINTS for t in range(POINTS)], table(schedule, POINTS).tolist()
        trace = {"type": "scatter", "x": x, "y": y, "mode": "lines", "line": {"color": LIGHT.blue, "width": 2.5}}
        sheet.add(place, {**trace, "showlegend": False, "hovertemplate": "%{x:.2f}: %{y:.3f}<extra></extra>"})
        sheet.axis(place, "x", range=[-0.03, 1.03], tickvals=[0, 0.5, 1])
        sheet.axis(place, "y", range=[-0.06, 1.1], tickvals=[0, 0.5, 1])
    return Drawing(sheet.figure())


def followed(name: str) -> tuple[list[float], list[float]]:
    """What a schedule that watches the validation loss did in a run on digits: (progress, share of the peak)."""
    peak, steps = 0.003, FOLLOWED_STEPS
    run = trained(digits(), (32,), [Setting(lr=peak, schedule=name, warmup=0.0)], steps)
    rates = run.history.steps(0)["lr"]
    return [t / steps for t in range(len(rates))], [lr / peak for lr in rates]


def warm_up() -> Drawing:
    """Four schedules behind a warm-up of 5,000 of 50,000 steps."""
    figure = blank("step", "share of the peak rate", height=320)
    bodies: dict[str, Schedule] = {
        "constant": Constant(),
        "cosine": Cosine(),
        "linear": Linear(),
        "inverse square root": InverseSqrt(),
    }
    looks = ((LIGHT.ink, "dot"), (LIGHT.blue, "solid"), (LIGHT.green, "dash"), (LIGHT.red, "dashdot"))
    for (name, body), (colour, dash) in zip(bodies.items(), looks, strict=True):
        schedule = Warmup(body, share=WARM_UP / WARM_STEPS)
        steps = torch.arange(0, WARM_STEPS, 100)
        figure.add_scatter(
            x=steps.tolist(),
            y=[schedule(t / WARM_STEPS) for t in steps.tolist()],
            mode="lines",
            name=name,
            line={"color": colour, "dash": dash, "width": 2.5},
            hovertemplate=f"{name}, step %{{x:,}}: %{{y:.3f}}<extra></extra>",
        )
    figure.update_xaxes(tickformat=",")
    figure.update_layout(margin_t=44)
    return Drawing(figure)


RATES = Chapter(
    "rates",
    "The learning rate over a run",
    (
        "Every rule above has a learning rate. Which one is best depends on the stage: a large one early, to get near; "
        "a small one late, to come to rest in a narrow place.",
    ),
    (
        Figure(
            "loss-rates",
            "Four learning rates",
            f"A perceptron with 64 hidden units trained on digits with Adam, {STEPS} steps for each rate, really run when this page "
            "was made. Too low: hardly a descent. Good: down, and further down. High: as quick at first, then it bounces far above "
            "what is possible. Too high: it jumps up at once and stays near the loss of a guess, log 10 = 2.3.",
            loss_rates,
        ),
        Figure(
            "schedules",
            "Every schedule",
            "The share of the peak rate over the run, each schedule as it comes by name. Plateau looks at the validation loss: "
            "its curve is what it did in a run on digits, made with this page.",
            schedules,
        ),
        Figure(
            "warm-up",
            "Warm-up in front of a schedule",
            "From zero in a straight line over the first 5,000 of 50,000 steps, then the schedule over the rest.",
            warm_up,
        ),
    ),
)
