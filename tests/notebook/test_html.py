"""What notebooks show: escaped, small, without scripts or a network, and everything that matters in words."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from ravine.diagnosis import Finding, Findings
from ravine.landscapes import surface, walk
from ravine.notebook import Live, card, paragraph, shown, table
from ravine.recipe.result import Best, EnsembleResult, Result
from ravine.recipe.verdict import Verdict
from ravine.schedules import SCHEDULES, BatchGrowth, Cosine, OneCycle, Plateau, Product, Sequence, Warmup, from_torch

EVIL = "<script>alert(1)</script> & 'so' \"on\""
METRICS = {"accuracy": 0.97, "nll": 0.1}


def finding(confidence: float = 0.9, fault: str = "wrong-loss") -> Finding:
    return Finding(
        fault, confidence, {EVIL: EVIL, "figure": 1.23456789, "many": list(range(500))}, EVIL, EVIL, verified=EVIL
    )


def verdict() -> Verdict:
    return Verdict("overfit", "warn", EVIL, {"figures": [0.123456] * 500, EVIL: EVIL}, (EVIL,))


def result() -> Result:
    best = Best(3, {"optimizer": EVIL, "lr": 0.01}, METRICS, METRICS, EVIL)
    ensemble = EnsembleResult(EVIL, 2, [1, 2], [0.5, 0.5], 9, METRICS, METRICS)
    return Result(
        [verdict()], best, ensemble, 24, 61.2, Path(EVIL.replace("/", "")), findings=[finding()], elsewhere=EVIL
    )


SHOWN: dict[str, Any] = {
    "a finding": finding(),
    "findings": Findings([finding(), finding(0.3, "dead-units"), finding(0.3, EVIL)]),
    "no findings": Findings(),
    "a verdict": verdict(),
    "a result": result(),
    "a path": walk(surface("rosenbrock"), "momentum", lrs=1e-3, steps=3000)[0],
    "paths": walk(surface("ravine50"), ["gd", "adam"], lrs=[0.01, 0.03], steps=20),
    "a path in three dimensions": walk(surface("bowl"), "gd", lrs=0.1, steps=3)[0],
    **{name: make() for name, make in SCHEDULES.items()},
    "a warm-up": Warmup(Plateau(), share=0.1),
    "a growing batch": BatchGrowth(Cosine()),
    "torch's": from_torch(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 10), steps=30),
}


class Checker(HTMLParser):
    """That what is opened is closed, and that nothing runs or is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {
            "div",
            "span",
            "details",
            "summary",
            "table",
            "tr",
            "td",
            "th",
            "svg",
            "path",
            "polyline",
            "circle",
            "text",
            "image",
        }
        assert not any(name.startswith("on") or name == "src" for name, _ in attrs)
        assert all(value is None or "://" not in value for _, value in attrs)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> str:
    """The text of a card that is sound."""
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    return checker.text


@pytest.mark.parametrize("value", SHOWN.values(), ids=list(SHOWN))
def test_a_card_is_sound_small_and_fetches_nothing(value: Any) -> None:
    html = value._repr_html_()
    read(html)
    assert "<script" not in html
    assert len(html) < 30_000


@pytest.mark.parametrize("name", ["a finding", "a verdict", "a result"])
def test_text_of_others_comes_out_as_it_went_in(name: str) -> None:
    assert EVIL in read(SHOWN[name]._repr_html_())


def test_the_first_alarms_are_read_at_once_and_what_is_less_sure_on_demand() -> None:
    html = Findings([finding(0.9, "wrong-loss"), *(finding(0.3, f"suspicion-{i}") for i in range(40))])._repr_html_()
    assert "1 alarm" in html
    before, _, after = html.partition("40 less sure")
    assert "wrong-loss" in before
    assert "suspicion-0" in after
    assert "suspicion" not in before


def test_a_result_says_its_figures() -> None:
    text = read(result()._repr_html_())
    assert "24 trials in 61 s" in text
    assert "best model (trial 3)0.970.10.970.1" in text


def test_a_schedules_picture_has_its_shape() -> None:
    html = OneCycle()._repr_html_()
    points = re.search(r'points="([^"]*)"', html)
    assert points is not None
    heights = [float(point.split(",")[1]) for point in points[1].split()]
    assert len(heights) == 201
    assert abs(heights.index(min(heights)) - 60) <= 2  # its peak, after a rise of 0.3
    assert "momentum from 0.85 to 0.95" in read(html)
    assert Product((Cosine(), Cosine()))._repr_html_() != Sequence((Cosine(), Cosine()), (0.5,))._repr_html_()


def test_values_are_cut_short() -> None:
    assert shown(1 / 3) == "0.3333"
    assert len(str(shown({"a": [1.0] * 1000}))) <= 160
    assert table([]) == ""
    assert read(card("x", [paragraph("a", "b")])) == "xa b"


class Screen:
    """Stands for a notebook's output."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def update(self, html: Any) -> None:
        self.seen.append(html.data)


def test_progress_is_drawn_in_one_place_and_not_more_than_twice_a_second() -> None:
    now = [0.0]
    screen, live = Screen(), Live(clock=lambda: now[0])
    live._place = screen
    live.begin("overfit")
    for i in range(1000):  # ten seconds
        now[0] = i / 100
        live.advance(i / 1000, EVIL)
    live.end(verdict())
    assert 15 <= len(screen.seen) <= 25
    assert EVIL in read(screen.seen[-2])
    assert "progressbar" not in screen.seen[-1]
