"""Product: factors, momenta and batches of its parts, together."""

import pytest

from ravine.errors import SettingError
from ravine.schedules import BatchGrowth, Cosine, Linear, OneCycle, Product, Step, Warmup, point_at, table


def test_factors_are_multiplied() -> None:
    parts = (Cosine(), Linear(), Step())
    product = table(parts[0], 30) * table(parts[1], 30) * table(parts[2], 30)
    assert table(Product(parts), 30).tolist() == pytest.approx(product.tolist())


def test_the_first_momentum_counts_and_batches_are_multiplied() -> None:
    growing = Warmup(BatchGrowth(Step(factor=0.5, drops=1)), share=0.0)
    schedule = Product((growing, OneCycle(max_momentum=0.9), OneCycle(), growing))
    assert point_at(schedule, 0.0)[1:] == (0.9, 1.0)
    assert point_at(schedule, 0.5).batch == 4.0


@pytest.mark.parametrize("parts", [(), [Cosine()], (Cosine(), None), Cosine()], ids=repr)
def test_parts_that_are_no_schedules_are_refused(parts: object) -> None:
    with pytest.raises(SettingError, match=r"Product\.parts.* is .*must be a"):
        Product(parts)
