"""Numbers, durations and other people's text as words of the page.

Text that comes from data, paths or settings goes to HTML through Jinja's escaping, and to a figure through
`label`, for Plotly reads tags in its labels.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping

__all__ = ["duration", "label", "number", "phrase", "share", "shorten", "within"]

NOTHING = "—"


def number(value: object, digits: int = 4) -> str:
    """A number as a reader wants it: whole ones with separators, others to some significant digits.

    >>> [number(x) for x in (85002, 0.97216, 1e-5, 0.00042, 2.0, None)]
    ['85,002', '0.9722', '1e-5', '0.00042', '2', '—']
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if value and not 1e-4 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def within(value: float | int | None, error: float | None) -> str:
    """A number with its error; the number alone where none is known or it is below the digits shown.

    >>> within(1.33907, 0.0784), within(0.57134, 6.8e-8), within(3346.2, None), within(958.93, 344.2)
    ('1.339 ± 0.078', '0.5713', '3,346', '959 ± 344')
    """
    if value is None or error is None or not error > abs(value) * 1e-4:
        return number(value)
    if error >= 10:
        return f"{round(value):,} ± {round(error):,}"
    return f"{number(value)} ± {number(error, 2)}"


def share(value: float | None) -> str:
    """A share of 1 in percent.

    >>> share(0.5445), share(0.00002), share(None)
    ('54 %', 'under 0.1 %', '—')
    """
    if value is None:
        return NOTHING
    return "under 0.1 %" if abs(value) < 1e-3 else f"{100 * value:.2g} %" if value < 0.995 else f"{100 * value:.0f} %"


def phrase(value: object) -> str:
    """Any JSON value in one line: numbers rounded, lists joined, settings as `name = value`.

    >>> phrase({"hidden": [256, 256], "dropout": 0.1})
    'hidden = 256, 256; dropout = 0.1'
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name} = {phrase(part)}" for name, part in value.items()) or NOTHING
    if isinstance(value, (list, tuple)):
        return ", ".join(phrase(part) for part in value) or NOTHING
    return number(value)


def duration(seconds: float | None) -> str:
    """Wall clock in the two largest units.

    >>> [duration(s) for s in (0.42, 61.2, 7320)]
    ['0.42 s', '1 min 1 s', '2 h 2 min']
    """
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 0.05:
        return "under 0.1 s"
    if seconds < 59.5:
        return f"{seconds:.2g} s" if seconds < 9.5 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def shorten(text: str, length: int = 24) -> str:
    """At most `length` characters, the end cut off and marked."""
    return text if len(text) <= length else text[: length - 1] + "…"


def label(text: str, length: int = 80) -> str:
    """Foreign text made safe for a Plotly label, title, legend or hover box: its tags are shown, not obeyed.

    >>> label("<b>cat</b> & dog")
    '&lt;b&gt;cat&lt;/b&gt; &amp; dog'
    """
    return html.escape(" ".join(shorten(text, length).split()), quote=False)
