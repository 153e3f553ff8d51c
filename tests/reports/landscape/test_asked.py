"""What is asked for: settings find their owner, and the command of a picture asks for the same picture."""

from __future__ import annotations

import shlex

import pytest

from ravine.cli import main
from ravine.errors import SettingError
from ravine.reports.landscape import Asked, walked
from ravine.rules import SGD, Adam, Newton


def test_a_setting_goes_to_every_rule_that_has_one_and_to_the_surface() -> None:
    asked = Asked("quadratic", ("momentum", "nesterov", "adam"), (0.01,), {"momentum": 0.5, "kappa": 7.0})
    found = walked(asked)
    rules = [path.rule for path in found.paths]
    assert rules == [SGD(momentum=0.5), SGD(momentum=0.5, nesterov=True), Adam()]
    assert found.surface.quadratic is not None
    assert float(found.surface.quadratic[1, 1]) == pytest.approx(7.0)


def test_paths_come_by_rule_then_rate_then_start() -> None:
    found = walked(Asked("bowl", ("gd", "newton"), (0.1, 0.2), starts=((1.0, 1.0), (2.0, 0.0)), steps=3))
    assert list(zip(found.names, found.rates, [path.start for path in found.paths], strict=True)) == [
        ("gd", 0.1, (1.0, 1.0)),
        ("gd", 0.1, (2.0, 0.0)),
        ("gd", 0.2, (1.0, 1.0)),
        ("gd", 0.2, (2.0, 0.0)),
        ("newton", None, (1.0, 1.0)),
        ("newton", None, (2.0, 0.0)),
    ]
    assert isinstance(found.paths[-1].rule, Newton)


@pytest.mark.parametrize(
    "asked",
    [
        Asked("ravine50", ("gd", "adam"), (0.001, 1e-5), {"beta1": 0.8}, ((4.0, -0.5), (-1.0, 1e-3)), 7, "rates"),
        Asked("noisy", ("momentum",), (0.01,), {"momentum": 0.5, "kappa": 20}, (), 9, "race", seed=3),
        Asked("x**2 + 10*sin(y)", ("nesterov",), (0.01, 0.02), {}, ((1.0, 2.0),), 5),
        Asked("quadratic", ("bfgs",), (), {"eigenvalues": [1, 9]}, (), 4),
    ],
)
def test_the_command_of_a_picture_asks_for_that_picture(asked, monkeypatch, tmp_path) -> None:
    import ravine.reports.landscape as door

    seen = []
    monkeypatch.setattr(door, "walked", lambda this: seen.append(this) or walked(this))
    words = shlex.split(asked.command(str(tmp_path / "paths.json")))
    assert words[0] == "ravine"
    assert main(words[1:]) == 0
    assert seen == [asked]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lrs": (0.0,)}, "--lr is 0.0"),
        ({"lrs": (float("nan"),)}, "--lr is nan"),
        ({"steps": 0}, "--steps is 0"),
        ({"lrs": (0.1, 0.1)}, "--lr 0.1 is given twice"),
        ({"rules": ("gd", "gd")}, "--rule gd is given twice"),
        ({"lrs": tuple(range(1, 202))}, "201 paths"),
        ({"lrs": tuple(range(1, 101)), "steps": 1_000_000}, "--steps 200000 or less"),
        ({"lrs": ()}, "no learning rate"),
        ({"settings": {"momentun": 0.9}}, "did you mean momentum"),
        ({"starts": ((1.0,),)}, "1 coordinates"),
    ],
)
def test_what_cannot_be_walked_is_refused(given, said) -> None:
    with pytest.raises(SettingError, match=said):
        walked(Asked(**{"surface": "bowl", "rules": ("gd",), "lrs": (0.1,), **given}))
