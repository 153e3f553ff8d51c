"""Members of an ensemble: other seeds, feet of cycles, ends of epochs; patience; averages on the side."""

from __future__ import annotations

import dataclasses
import time

import pytest
import torch

from ravine.data import Data
from ravine.errors import SettingError
from ravine.models import Model, mlp
from ravine.training import EMA, SWA, Averaging, Run, Setting, averaging_for, plan, rank, train_members

SETTING = Setting(batch_size=16, lr=3e-3, seed=4)


def network(data: Data) -> Model:
    return Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": (8,)})


def test_independent_members_are_what_each_seed_gives_alone(three_classes: Data) -> None:
    trained = train_members(three_classes, network(three_classes), SETTING, steps=30, size=3, engine="stacked")
    assert sorted(kept.setting.seed for kept in trained.members) == [4, 5, 6]
    ranks = [rank(kept.validation) for kept in trained.members]
    assert ranks == sorted(ranks, reverse=True)
    for kept in trained.members:
        alone = train_members(three_classes, network(three_classes), kept.setting, steps=30).members[0]
        assert alone.epoch == kept.epoch
        for name, value in kept.state.items():
            torch.testing.assert_close(value, alone.state[name], rtol=1e-4, atol=1e-5)  # a stack sums in another order


def test_snapshots_are_taken_where_the_rate_has_fallen_to_nothing(three_classes: Data) -> None:
    trained = train_members(three_classes, network(three_classes), SETTING, kind="snapshots", size=3, steps=36)
    rates = trained.run.history.steps(0)["lr"]
    peak, low = max(rates), 0.1 * max(rates)
    assert [rates[step - 1] < low for step in (12, 24, 36)] == [True] * 3
    assert [rates[step] for step in (12, 24)] == [peak, peak]
    assert sorted(kept.trial for kept in trained.members) == [0, 1, 2]
    states = [kept.state["1.weight"] for kept in trained.members]
    assert not torch.equal(states[0], states[1])


def test_checkpoints_are_the_ends_of_the_last_epochs(three_classes: Data) -> None:
    per_epoch = len(three_classes.train) // 16
    trained = train_members(
        three_classes, network(three_classes), SETTING, kind="checkpoints", size=2, steps=4 * per_epoch
    )
    assert sorted(kept.epoch for kept in trained.members) == [3, 4]
    last = max(trained.members, key=lambda kept: kept.epoch)
    assert torch.equal(last.state["1.weight"], trained.run.population.state(0)["1.weight"])


def test_patience_ends_a_trial_and_keeps_its_best_weights(three_classes: Data) -> None:
    hopeless = dataclasses.replace(SETTING, lr=1e-12, schedule="constant", warmup=0.0)
    trained = train_members(three_classes, network(three_classes), hopeless, steps=10_000, patience=2)
    per_epoch = trained.run.steps_per_epoch
    assert trained.run.step == 3 * per_epoch  # one better than nothing, then two that are not
    assert trained.stopped == (0,)
    assert trained.members[0].epoch == 1


def test_a_deadline_that_has_passed_still_leaves_a_model(three_classes: Data) -> None:
    for kind in ("independent", "snapshots"):
        trained = train_members(
            three_classes, network(three_classes), SETTING, kind=kind, size=2, steps=40, deadline=time.monotonic() - 1
        )
        assert len(trained.members) >= 1


def test_an_average_follows_the_weights_of_every_step(three_classes: Data) -> None:
    average, shown = EMA(0.9), SWA()
    run = Run(three_classes, network(three_classes), [SETTING], steps=12, averaging=Averaging(average))
    for _ in range(12):
        run.advance(1)
        shown.update({name: value.detach() for name, value in run.population.stack.leaves.items()})
    state = run.averaged_state(0)
    assert average.count == shown.count == 12
    assert state.keys() == run.population.state(0).keys()
    assert not torch.equal(state["1.weight"], run.population.state(0)["1.weight"])


def test_a_cut_narrows_the_average_too(three_classes: Data) -> None:
    settings = [dataclasses.replace(SETTING, seed=seed) for seed in range(3)]
    runs = [
        Run(three_classes, network(three_classes), s, steps=20, averaging=Averaging(EMA(0.5)), engine="stacked")
        for s in (settings, [settings[2]])
    ]
    for run in runs:
        run.advance(5)
    runs[0].keep([2])
    for run in runs:
        run.advance(5)
    one, other = (run.averaged_state(0) for run in runs)
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-5)


def test_swa_is_shown_the_second_half_and_last_the_last_five() -> None:
    swa = averaging_for("swa", 100, 10)
    assert (swa.start, swa.every) == (50, 10)
    assert averaging_for("last", 100, 10).every == 10
    assert averaging_for("ema", 1000, 10).average.decay == pytest.approx(0.98)
    with pytest.raises(SettingError, match="average 'swaa' is not known; did you mean swa"):
        averaging_for("swaa", 100, 10)


@pytest.mark.parametrize(
    ("kind", "size", "said"),
    [
        ("independant", 5, "did you mean independent"),
        ("snapshots", 0, "1 or more"),
        ("snapshots", 99, "99 snapshots need 99 cycles.*there are 50"),
        ("checkpoints", 6, "6 checkpoints need 6 epochs, and there are 5"),
    ],
)
def test_members_that_cannot_be_had_are_refused(kind: str, size: int, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        plan(kind, SETTING, size, steps=50, per_epoch=10)
