"""Would more trials help: the best value to be expected of so many trials, and what the next doubling brings at most."""

from __future__ import annotations

import plotly.graph_objects as go

from ravine.reports.figures.picture import Picture, blank
from ravine.reports.records import MoreTrials
from ravine.reports.theme import LIGHT
from ravine.reports.wording import number

__all__ = ["more_trials"]


def more_trials(name: str, measured: MoreTrials, score: str, smaller_is_better: bool) -> Picture:
    """The last three doublings, and the next where it is bounded.

    name: of the picture. score: what the value is, such as "validation accuracy".
    """
    made = measured.trials
    figure = blank("number of trials, doubling at each tick", f"expected best {score}", height=420)
    curve = [(n, value) for n, value in measured.curve if n >= max(1, made // 8)]
    if is_bounded(measured):
        add_next(figure, measured, smaller_is_better)
    figure.add_scatter(
        x=[n for n, _ in curve],
        y=[value for _, value in curve],
        mode="lines",
        line={"color": LIGHT.blue, "width": 2.5},
        hovertemplate=f"best of %{{x}} trials: {score} %{{y:.4g}}<extra></extra>",
        showlegend=False,
    )
    figure.add_scatter(
        x=[made],
        y=[measured.curve[-1][1]],
        name=f"the {made:,} trials made",
        mode="markers",
        marker={"color": LIGHT.blue, "size": 11},
        hovertemplate=f"best of the {made:,} trials made: %{{y:.4g}}<extra></extra>",
        showlegend=True,
    )
    ticks = sorted({n for n in (made // 8, made // 4, made // 2, made, 2 * made) if n >= 1})
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{n:,}" for n in ticks])
    figure.update_layout(margin_t=40)
    return Picture(name, "Would more trials help?", caption(measured, smaller_is_better), figure)


def is_bounded(measured: MoreTrials) -> bool:
    """Whether doublings bring less and less, so that the next brings no more than the last."""
    return measured.doubling <= measured.before


def add_next(figure: go.Figure, measured: MoreTrials, smaller_is_better: bool) -> None:
    """What twice the trials bring at most: dashed, in the band of its resamplings."""
    made, now, sign = measured.trials, measured.curve[-1][1], -1 if smaller_is_better else 1
    low, most, high = (now + sign * gain for gain in (measured.low, measured.doubling, measured.high))
    figure.add_scatter(
        x=[made, 2 * made, 2 * made, made],
        y=[now, low, high, now],
        mode="lines",
        fill="toself",
        fillcolor=LIGHT.band_orange,
        line={"color": LIGHT.band_orange, "width": 0},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=[made, 2 * made],
        y=[now, most],
        name="at most from here",
        mode="lines",
        line={"color": LIGHT.orange, "dash": "dash", "width": 2.5},
        hovertemplate="%{x} trials: at most %{y:.4g}<extra></extra>",
        showlegend=True,
    )


def caption(measured: MoreTrials, smaller_is_better: bool) -> str:
    made, half = measured.trials, measured.trials // 2
    brought = (
        f"Going from {half:,} to {made:,} trials brought {in_units(measured.doubling, smaller_is_better)} (in 90 % of resamplings "
        f"{in_digits(measured.low, smaller_is_better)} to {in_digits(measured.high, smaller_is_better)}); "
        f"the doubling before, from {half // 2:,} to {half:,}, {in_digits(measured.before, smaller_is_better)}."
    )
    if is_bounded(measured):
        then = f"While each doubling brings less than the one before, {made:,} trials more bring no more than that (dashed; band: the resamplings)."
    else:
        then = "The gains do not fall yet, so twice the trials may well bring more."
    source = "The curve is what a search of so many random trials finds on average (Dodge et al. 2019)."
    return f"{brought} {then} {source}"


def in_digits(gain: float, smaller_is_better: bool) -> str:
    """A gain in percentage points of accuracy, or in the units of the target."""
    return number(float(gain if smaller_is_better else 100 * gain), 2)


def in_units(gain: float, smaller_is_better: bool) -> str:
    return f"{in_digits(gain, smaller_is_better)} {'of RMSE' if smaller_is_better else 'percentage points of accuracy'}"
