"""Which hyper-parameters mattered: a bar for each, and whether it can be told from nothing."""

from __future__ import annotations

from ravine.reports.figures.axes import round_ticks
from ravine.reports.figures.picture import Picture, blank
from ravine.reports.records import Importance, ImportanceOfOne
from ravine.reports.theme import LIGHT
from ravine.reports.wording import label, number, share, shorten

__all__ = ["importance"]

CHANCE = 0.05
"""A hyper-parameter that shuffled results make seem as important more often than this is drawn pale."""


def importance(name: str, measured: Importance, step: int | None) -> Picture:
    """The most important on top; pale, and labelled so, where it cannot be told from one that does nothing.

    name: of the picture. step: at which the trials were compared.
    """
    bars = dict(sorted(measured.importance.items(), key=lambda bar: -bar[1].share))
    rows = list(range(len(bars)))
    figure = blank("share of the whole", height=70 + 48 * max(len(bars), 2))
    figure.add_bar(
        x=[one.share for one in bars.values()],
        y=rows,
        orientation="h",
        width=0.42,
        marker={"color": [LIGHT.blue if is_told(one) else LIGHT.faint for one in bars.values()]},
        hovertext=[hover(text, one) for text, one in bars.items()],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )
    whisker = {"color": LIGHT.ink, "width": 1.5}
    figure.add_scatter(
        x=[end for one in bars.values() for end in (one.low, one.high, None)],
        y=[place for row in rows for place in (row, row, None)],
        mode="lines+markers",
        line=whisker,
        marker={"symbol": "line-ns", "size": 9, "line": whisker},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=[0] * len(rows),
        y=[row - 0.41 for row in rows],
        text=[in_words(text, one) for text, one in bars.items()],
        mode="text",
        cliponaxis=False,
        textposition="middle right",
        textfont={"size": 13, "color": LIGHT.ink},
        hoverinfo="skip",
        showlegend=False,
    )
    end = max((max(one.share, one.high) for one in bars.values()), default=1.0)
    ticks = round_ticks(0.0, end, about=5)
    figure.update_xaxes(range=[0, 1.04 * end], tickvals=ticks, ticktext=[f"{number(100 * tick)} %" for tick in ticks])
    figure.update_yaxes(
        range=[max(len(rows), 2) - 0.6, -0.7], showticklabels=False, ticks="", showgrid=False, zeroline=False
    )
    figure.update_layout(margin_l=16)
    return Picture(name, "Which hyper-parameters mattered", caption(bars, measured, step), figure, wide=True)


def is_told(one: ImportanceOfOne) -> bool:
    return one.chance <= CHANCE


def in_words(name: str, one: ImportanceOfOne) -> str:
    return f"\u00a0{label(name, 18)}: {share(one.share)}{'' if is_told(one) else ', may be chance'}"


def hover(name: str, one: ImportanceOfOne) -> str:
    lines = (
        f"{label(name)}: {share(one.share)}",
        f"in random halves {share(one.low)} to {share(one.high)}",
        f"as much by chance: {share(one.chance)}",
    )
    return "<br>".join(lines)


def caption(bars: dict[str, ImportanceOfOne], measured: Importance, step: int | None) -> str:
    told = [shorten(name) for name, one in bars.items() if is_told(one)]
    found = "None can" if not told else "All can"
    if told and len(told) < len(bars):
        found = f"{listed(told)} mattered; the others cannot"
    at = "" if step is None else f", compared at step {step:,},"
    return (
        f"{found} be told from a hyper-parameter that does nothing. Bar: how much each decided whether one of the "
        f"{measured.trials:,} trials{at} was among the best {share(measured.quantile)} (PED-ANOVA, Watanabe et al. 2023); "
        "whisker: 90 % of the same in random halves of the trials. Pale, may be chance: shuffled results make it seem as "
        f"important more often than in {share(CHANCE)} of the cases."
    )


def listed(names: list[str]) -> str:
    """Names in a row: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
