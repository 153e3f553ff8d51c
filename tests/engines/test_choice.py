"""Choosing an engine, by a clock that only the work moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ravine.engines import choice
from ravine.engines.choice import Engine, fastest
from ravine.engines.threads import threads

Work = Callable[[], Tensor]


class Clock:
    """Seconds that pass only when something is said to take them."""

    def __init__(self) -> None:
        self.now, self.calls = 0.0, dict[float, int]()

    def taking(self, seconds: float, *, on_one: float | None = None) -> Work:
        """Work that takes so long; `on_one`: on one thread."""

        def work() -> Tensor:
            alone = on_one is not None and torch.get_num_threads() == 1
            self.now += on_one if alone and on_one is not None else seconds
            self.calls[seconds] = self.calls.get(seconds, 0) + 1
            return torch.zeros(2)

        return work


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(choice.time, "perf_counter", lambda: made.now)
    return made


def raising(error: Exception) -> Work:
    def work() -> Tensor:
        raise error

    return work


def chosen(work: dict[Engine, Work], reason: str = "") -> choice.Choice:
    return fastest(work, [None], reason=reason, refused=lambda error: f"refused: {error}")


def test_the_least_time_wins_and_all_times_are_told(clock: Clock) -> None:
    found = chosen({"stacked": clock.taking(0.002), "one by one": clock.taking(0.003)})
    assert found == ("stacked", None, "measured: 2.00 ms for the gradients stacked, 3.00 one by one")


@pytest.mark.parametrize(("seconds", "engine"), [(0.0105, "compiled"), (0.0115, "one by one")])
def test_what_is_compiled_has_a_head_start_of_a_tenth_and_no_more(clock: Clock, seconds: float, engine: Engine) -> None:
    found = chosen({"compiled": clock.taking(seconds), "one by one": clock.taking(0.010)})
    assert found.engine == engine


def test_the_number_of_threads_is_the_one_that_suits_the_engine(clock: Clock) -> None:
    work: dict[Engine, Work] = {
        "stacked": clock.taking(0.005, on_one=0.004),
        "one by one": clock.taking(0.003, on_one=0.006),
    }
    with threads(2):
        found = fastest(work, [1, None], reason="", refused=str)
    assert found[:2] == ("one by one", None)
    assert found.reason == "measured: 3.00 ms for the gradients one by one, 4.00 stacked"


def test_what_is_three_times_as_slow_is_not_timed_to_the_end(clock: Clock) -> None:
    chosen({"compiled": clock.taking(0.001), "one by one": clock.taking(0.004)})
    assert clock.calls == {0.001: 4, 0.004: 2}


def test_an_engine_that_raises_is_left_out_and_what_it_said_is_the_reason(clock: Clock) -> None:
    found = chosen({"stacked": raising(ValueError("no")), "one by one": clock.taking(1.0)})
    assert found == ("one by one", None, "refused: no")


def test_an_engine_that_is_alone_keeps_the_reason_it_was_given(clock: Clock) -> None:
    assert chosen({"stacked": clock.taking(1.0)}, reason="asked for") == ("stacked", None, "asked for")


@pytest.mark.parametrize(
    ("engines", "error"),
    [
        (["stacked"], ValueError()),
        (["stacked", "one by one"], MemoryError()),
        (["one by one", "stacked"], ValueError()),
    ],
)
def test_what_no_other_engine_would_do_better_is_raised(clock: Clock, engines: list[Engine], error: Exception) -> None:
    work: dict[Engine, Work] = dict.fromkeys(engines, clock.taking(1.0))
    with pytest.raises(type(error)):
        chosen({**work, engines[0]: raising(error)})
