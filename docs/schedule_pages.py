"""Writes a page for every schedule, and one for warm-up: the shape as a picture, the formula, the numbers that shape it."""

from __future__ import annotations

import inspect
from functools import cache

from docstrings import escaped, to_markdown
from fields import rows
from pictures import curve_picture
from ravine.schedules import SCHEDULES, Cosine, Plateau, Schedule, Warmup, factor_at
from rule_pages import table

__all__ = ["page", "pages"]

POINTS = 400
LOSSES = [1.0, 0.7, 0.5, 0.42, 0.41, *[0.41] * 11, 0.3, 0.28, *[0.28] * 14]
"""What the plateau schedule is shown with: a validation loss that stalls twice, evaluated at even distances."""


@cache
def pages() -> dict[str, str]:
    """Every page by its place under docs/."""
    bodies = {name: make() for name, make in SCHEDULES.items()}
    return {
        **{f"schedules/{name}.md": page(name, body) for name, body in bodies.items()},
        "schedules/warmup.md": page("warmup", Warmup(Cosine(), share=0.1)),
    }


def page(name: str, schedule: Schedule) -> str:
    """One schedule as Markdown."""
    kind = type(schedule)
    fields = [(f"`{n}`", f"`{d}`" if d else "must be given", escaped(said)) for n, d, said in rows(kind)]
    parts = [
        f"# {kind.__name__}",
        curve_picture(_shape(schedule), caption=_caption(schedule)),
        to_markdown(inspect.getdoc(kind) or ""),
        "## What shapes it" if fields else "",
        table(("name", "default", "what it is"), fields)
        if fields
        else "Nothing: it is 1 from the first step to the last.",
        "## In use",
        _use(name, schedule),
        "[Choosing a schedule](../choosing/schedule.md)",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _shape(schedule: Schedule) -> list[tuple[float, float]]:
    """(progress, factor) along a run."""
    metrics = [(i / len(LOSSES), loss) for i, loss in enumerate(LOSSES)] if isinstance(schedule, Plateau) else []
    places = [i / POINTS for i in range(POINTS + 1)]
    return [(at, factor_at(schedule, at, [seen for seen in metrics if seen[0] <= at])) for at in places]


def _caption(schedule: Schedule) -> str:
    seen = " shown a validation loss that stalls twice" if isinstance(schedule, Plateau) else ""
    return f"{schedule!r}{seen}: the share of the peak rate over a run"


def _use(name: str, schedule: Schedule) -> str:
    own = type(schedule).__name__
    body = f"{own}(Cosine(), share=0.05)" if name == "warmup" else f"{own}()"
    names = "Cosine, Warmup, bind" if name == "warmup" else f"{own}, bind"
    tell = (
        "\nscheduler.report(0.7)  # the validation loss, after each evaluation" if isinstance(schedule, Plateau) else ""
    )
    how = (
        "`ravine train --warmup 0.05` puts it in front of the schedule of `--schedule`."
        if name == "warmup"
        else f"`ravine train --schedule {name}`; in a search, `--space schedule={name},cosine`."
    )
    return (
        f"```python\nfrom torch import nn\n\nfrom ravine import optim\nfrom ravine.schedules import {names}\n\n"
        "optimizer = optim.AdamW(nn.Linear(4, 1).parameters(), lr=0.01)\n"
        f"scheduler = bind({body}, optimizer, steps=1000)\noptimizer.step()\nscheduler.step()  # after each step of the optimizer{tell}\n```\n\n"
        f"{how} In full: [`schedules.{own}`][ravine.schedules.{own}]."
    )
