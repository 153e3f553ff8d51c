"""Step 2: can the network learn a handful of mini-batches by heart?"""

from __future__ import annotations

from ravine.reports.figures.axes import finite, log_axis, share_range
from ravine.reports.figures.picture import Picture, blank, drawn_as, thinned
from ravine.reports.records import Overfit
from ravine.reports.theme import LIGHT
from ravine.reports.wording import label, number

__all__ = ["overfit"]


def overfit(measured: Overfit) -> list[Picture]:
    """Loss and metric over the steps of the best rate, and the loss at the end for every rate."""
    pictures = []
    if measured.curve.step:
        pictures += [learning_curve(measured), metric_curve(measured)]
    if finite(measured.final_loss):
        pictures.append(loss_per_rate(measured))
    return pictures


def learning_curve(measured: Overfit) -> Picture:
    figure = blank("step", "training loss (log scale)")
    part = thinned(len(measured.curve.step))
    figure.add_scatter(
        x=measured.curve.step[part],
        y=measured.curve.loss[part],
        mode=drawn_as(len(measured.curve.step)),
        line={"color": LIGHT.blue, "width": 2},
        hovertemplate="step %{x}: loss %{y:.4g}<extra></extra>",
    )
    log_axis(figure, "y", measured.curve.loss)
    rate = "" if measured.best is None else f", at the best rate, {number(measured.rates[measured.best], 3)}"
    return Picture("overfit-loss", "Loss on the few examples", f"Training loss{rate}.", figure)


def metric_curve(measured: Overfit) -> Picture:
    figure = blank("step", label(measured.metric))
    part = thinned(len(measured.curve.step))
    figure.add_hline(y=measured.goal, line={"color": LIGHT.green, "dash": "dash", "width": 2}, layer="below")
    figure.add_scatter(
        x=measured.curve.step[part],
        y=measured.curve.metric[part],
        mode=drawn_as(len(measured.curve.step)),
        line={"color": LIGHT.blue, "width": 2},
        hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )
    figure.update_yaxes(range=share_range([*measured.curve.metric, measured.goal]))
    caption = f"Training {measured.metric} at the same rate. Dashed: the goal, {number(measured.goal)}."
    return Picture("overfit-metric", f"{measured.metric.capitalize()} on the few examples", caption, figure)


def loss_per_rate(measured: Overfit) -> Picture:
    """Rates that reached the goal are drawn full, the others open; those that diverged are left out."""
    figure = blank("learning rate", "final loss (log scale)")
    groups = (("reached the goal", "circle", LIGHT.green, True), ("did not", "circle-open", LIGHT.red, False))
    for name, symbol, colour, reached in groups:
        rows = [
            (rate, loss)
            for rate, loss, step in zip(measured.rates, measured.final_loss, measured.reached_at_step, strict=True)
            if loss is not None and (step is not None) == reached
        ]
        if rows:
            figure.add_scatter(
                x=[rate for rate, _ in rows],
                y=[loss for _, loss in rows],
                name=name,
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 10, "line": {"width": 2, "color": colour}},
                hovertemplate="rate %{x:.3g}: loss %{y:.4g}<extra></extra>",
                showlegend=True,
            )
    log_axis(figure, "x", measured.rates)
    log_axis(figure, "y", measured.final_loss)
    figure.update_layout(margin_t=40)
    lost = sum(loss is None for loss in measured.final_loss)
    caption = f"One dot per learning rate tried{f'; without a dot, because they diverged: {lost}' if lost else ''}."
    return Picture("overfit-rates", "Final loss for each rate", caption, figure)
