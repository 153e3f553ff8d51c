"""Every picture of the lecture is in the gallery at the lecture's settings, with what to see and the command that makes it."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from ravine.cli import main
from ravine.errors import SettingError
from ravine.landscapes import named_rule
from ravine.reports.gallery import CHAPTERS, figure_named, figures, rosenbrock
from ravine.schedules import SCHEDULES

FIGURES = figures()
FIVE = [0.001, 0.005, 0.01, 0.015, 0.02]
SIX = [0.001, 0.005, 0.01, 0.015, 0.019, 0.02]

# name: (surface, the rules, learning rates, steps), from (4, .5)
RAVINES = {
    "gd-bowl": ("bowl", ["gd"], FIVE, 100),
    "gd-ravine10": ("ravine10", ["gd"], FIVE, 100),
    "gd-ravine50": ("ravine50", ["gd"], SIX, 100),
    "momentum-9": ("ravine50", ["momentum"], SIX, 100),
    "momentum-5": ("ravine50", ["momentum"], SIX, 100),
    "nesterov-9": ("ravine50", ["nesterov"], [0.0001, 0.0005, 0.001, 0.005, 0.01], 100),
    "overshoot": ("ravine50", ["momentum", "nesterov"], [0.01], 95),
    "adagrad": ("ravine50", ["adagrad"], [0.001, 0.005, 0.01, 0.05, 0.1, 0.5], 100),
    "adam": ("ravine50", ["adam"], FIVE, 100),
}
MOMENTUM = {"momentum-9": 0.9, "momentum-5": 0.5, "nesterov-9": 0.9, "overshoot": 0.9}

ROSENBROCK = {
    "rosenbrock-gd": ("gd", {}, 1e-5, 5),
    "rosenbrock-momentum-9": ("momentum", {"momentum": 0.9}, 1e-5, 5),
    "rosenbrock-momentum-5": ("momentum", {"momentum": 0.5}, 1e-5, 5),
    "rosenbrock-nesterov": ("nesterov", {"momentum": 0.9}, 1e-5, 5),
    "rosenbrock-adagrad": ("adagrad", {}, 0.01, 6),
    "rosenbrock-adam": ("adam", {}, 0.001, 6),
}
OTHERS = {
    *("three-ravines", "rosenbrock-3d", "rosenbrock-above", "loss-rates", "schedules", "taylor", "fit-curves"),
    "grid-random",
}


def options(command: str) -> dict[str, list[str]]:
    """The words after each flag of a command."""
    found: dict[str, list[str]] = {}
    for word in shlex.split(command)[2:]:
        if word.startswith("--"):
            found[word] = values = []
        else:
            values.append(word)
    return found


def test_every_picture_of_the_lecture_is_there() -> None:
    assert {*RAVINES, *ROSENBROCK, *OTHERS} <= set(FIGURES)


@pytest.mark.parametrize("name", RAVINES)
def test_the_settings_are_the_lectures(name) -> None:
    surface, rules, lrs, steps = RAVINES[name]
    asked = options(FIGURES[name].command)
    assert asked["--surface"] == [surface]
    assert asked["--rule"] == rules
    assert [float(lr) for lr in asked["--lr"]] == lrs
    assert [float(value) for value in asked["--start"]] == [4, 0.5]
    assert asked["--steps"] == [str(steps)]
    assert asked.get("--set", []) == ([f"momentum={MOMENTUM[name]}"] if name in MOMENTUM else [])


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("name", ROSENBROCK)
def test_the_banana_is_walked_as_the_lecture_lists(name, monkeypatch) -> None:
    rule, settings, first, count = ROSENBROCK[name]
    seen = []

    def follow(surface, configurations, *, steps):
        seen.extend((surface.name, one.rule, one.lr, steps) for one in configurations)
        return real(surface, configurations, steps=steps)

    real = rosenbrock.follow
    monkeypatch.setattr(rosenbrock, "follow", follow)
    drawing = FIGURES[name].draw()
    made = named_rule(rule, **settings)
    assert {(one, other) for one, other, *_ in seen} == {("rosenbrock", made)}
    titles = [note.text for note in drawing.figure.layout.annotations][:count]
    wanted = [(1, 1), (10, 1), (100, 1), (1, 2), (10, 2), (100, 2)][:count]
    assert [float(re.match(r"lr (\S+), ", title)[1]) for title in titles] == pytest.approx(
        [first * k for k, _ in wanted]
    )
    assert [title.partition(" steps")[0].rpartition(" ")[2] for title in titles] == [str(60 * n) for _, n in wanted]
    lasts = [moved["steps"][-1] for moved in drawing.walk["paths"]]
    assert lasts == [60 * n for _, n in wanted] or name in ("rosenbrock-gd", "rosenbrock-momentum-9")


def test_the_bananas_numbers_of_steps_are_the_lectures() -> None:
    assert rosenbrock.STEPS == 5000
    assert rosenbrock.SIX == ((1, 1), (10, 1), (100, 1), (1, 2), (10, 2), (100, 2))
    assert rosenbrock.SIX[:5] == rosenbrock.FIVE


@pytest.mark.usefixtures("brief")
def test_every_schedule_has_its_curve() -> None:
    drawing = FIGURES["schedules"].draw()
    assert [note.text for note in drawing.figure.layout.annotations] == list(SCHEDULES)
    by_name = dict(zip(SCHEDULES, drawing.figure.data, strict=True))
    cosine = by_name["cosine"]
    assert cosine.y[200] == pytest.approx(SCHEDULES["cosine"]()(0.5))
    assert len(by_name["plateau"].y) == 30


def test_each_figure_has_a_name_a_caption_and_a_command() -> None:
    assert len(FIGURES) == sum(len(chapter.figures) for chapter in CHAPTERS)
    for name, figure in FIGURES.items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert figure.title
        assert len(figure.caption) > 40
        assert figure.again.startswith(("ravine landscape ", f"ravine gallery --only {name} "))
    assert len({chapter.anchor for chapter in CHAPTERS} | set(FIGURES)) == len(CHAPTERS) + len(FIGURES)


@pytest.mark.parametrize("name", [name for name, figure in FIGURES.items() if figure.command])
def test_the_command_of_a_landscape_runs(name, tmp_path, capsys) -> None:
    words = shlex.split(FIGURES[name].command)[1:]
    words[words.index("--steps") + 1] = "3"
    assert words[-2:] == ["--out", f"{name}.html"]
    assert main([*words[:-1], str(tmp_path / "paths.json")]) == 0, capsys.readouterr().err
    kept = json.loads((tmp_path / "paths.json").read_text())
    assert max(path["steps"] for path in kept["paths"]) == 3


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("name", ["contraction", "rosenbrock-gd", "loss-rates", "grid-random"])  # one of each kind
def test_the_command_of_any_other_figure_runs(name, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(FIGURES[name].again)[1:]) == 0, capsys.readouterr().err
    assert f'id="{name}"' in (tmp_path / "gallery" / f"{name}.html").read_text()


def test_an_unknown_figure_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean adagrad"):
        figure_named("adagrd")
