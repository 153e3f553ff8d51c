"""Polynomial: its power and its floor."""

import pytest

from ravine.errors import SettingError
from ravine.schedules import Linear, Polynomial, table


@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_power_1_is_linear(floor: float) -> None:
    assert table(Polynomial(1.0, floor), 20).tolist() == pytest.approx(table(Linear(floor), 20).tolist())


def test_a_higher_power_falls_sooner() -> None:
    early = [Polynomial(power)(0.2) for power in (0.5, 0.9, 2.0, 4.0)]
    assert early == sorted(early, reverse=True)
    assert early[-1] == pytest.approx(0.8**4)


def test_it_ends_on_its_floor_exactly() -> None:
    assert Polynomial(power=3.0, floor=0.1)(1.0) == 0.1


def test_a_power_of_0_is_refused() -> None:
    with pytest.raises(SettingError, match=r"Polynomial\.power is 0; .*positive"):
        Polynomial(power=0)
