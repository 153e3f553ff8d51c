"""Steps 1 and 2 only: is this model trainable on this data?"""

from __future__ import annotations

from typing import Any

from ravine.cli import options
from ravine.cli.display import show_result, watching

__all__ = ["check"]


@options.with_common
def check(given: dict[str, Any], as_json: options.Json = False) -> int:
    """Steps 1 and 2 only: is this model trainable on this data?"""
    from ravine import api

    with watching() as watch:
        result = api.check(**given, watch=watch)
    show_result(result, as_json=as_json)
    return 1 if result.failed else 0
