"""What is asked of any schedule: its factor after what was measured, and whether it looks at that."""

import pytest

from ravine.errors import SettingError
from ravine.schedules import (
    BatchGrowth,
    Constant,
    Plateau,
    Point,
    Product,
    Sequence,
    Warmup,
    factor_at,
    needs_metrics,
    point_at,
)


@pytest.mark.parametrize(
    "nest",
    [
        lambda body: body,
        lambda body: Warmup(body),
        lambda body: Sequence((Constant(), body), milestones=(0.5,)),
        lambda body: Product((Constant(), body)),
        lambda body: BatchGrowth(body),
        lambda body: Warmup(Product((Constant(), Sequence((body, Constant()), milestones=(0.5,))))),
    ],
)
def test_a_plateau_is_found_wherever_it_is_nested(nest: object) -> None:
    assert needs_metrics(nest(Plateau()))
    assert not needs_metrics(nest(Constant()))


def test_any_function_of_progress_is_a_schedule() -> None:
    def halving(progress: float) -> float:
        return 1 - progress / 2

    assert not needs_metrics(halving)
    assert point_at(halving, 0.5) == Point(0.75, momentum=None, batch=1.0)
    assert factor_at(Warmup(halving, share=0.5), 0.75) == 0.75


def test_metrics_without_their_progress_are_refused() -> None:
    with pytest.raises(SettingError, match=r"each must be a pair: write \(step / steps, metric\)"):
        factor_at(Plateau(), 0.5, [1.0, 0.9])
