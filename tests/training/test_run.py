"""The loop: its batches, its deadline, its cuts, and the best weights it remembers.

Letters in shapes: K trials, B batch, N examples.
"""

from __future__ import annotations

import time

import pytest
import torch

from ravine.data import Data, MemorySplit
from ravine.errors import SettingError
from ravine.models import Model, mlp
from ravine.randomness import permutation
from ravine.schedules import Cosine, OneCycle, table
from ravine.training import History, Run, Setting, evaluate
from ravine.training.run import outputs_on, probed

FAR = float("inf")


def network(data: Data) -> Model:
    return Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": (8,)})


def run(data: Data, *settings: Setting, steps: int = 40, **more: object) -> Run:
    return Run(data, network(data), settings or (Setting(batch_size=16),), steps=steps, **more)


def test_batches_follow_the_order_seed_and_the_epoch_alone(three_classes: Data) -> None:
    settings = [Setting(batch_size=16, seed=k, order=o) for k, o in ((0, 3), (1, 3), (2, 4))]
    shared, own = run(three_classes, *settings[:2]), run(three_classes, *settings)
    per_epoch = len(three_classes.train) // 16
    for step in (0, 1, per_epoch - 1, per_epoch, 2 * per_epoch + 1):
        epoch, position = divmod(step, per_epoch)
        rows = {
            s: permutation(len(three_classes.train), s, "order", epoch)[16 * position : 16 * (position + 1)]
            for s in (3, 4)
        }
        x, y, apart, _ = shared.batches.at(step)
        assert not apart
        assert torch.equal(x, three_classes.train.batch(rows[3])[0])
        xs, ys, apart, _ = own.batches.at(step)
        assert apart
        assert torch.equal(xs, torch.stack([three_classes.train.batch(rows[s])[0] for s in (3, 3, 4)]))
        assert torch.equal(ys[0], y)


def test_an_epoch_meets_each_example_once_at_most(three_classes: Data) -> None:
    found = run(three_classes)
    index = MemorySplit(torch.arange(len(three_classes.train)), three_classes.train.y)
    found.batches.split = index
    seen = []
    for step in range(found.steps_per_epoch):
        seen += found.batches.at(step).x.tolist()
    assert len(set(seen)) == len(seen) == 16 * found.steps_per_epoch


def test_a_batch_larger_than_the_data_is_all_of_it(numbers: Data) -> None:
    found = run(numbers, Setting(batch_size=10_000))
    assert found.steps_per_epoch == 1
    assert len(found.batches.at(0).y) == len(numbers.train)


def test_it_stops_at_the_horizon_and_says_so(three_classes: Data) -> None:
    found = run(three_classes, steps=5)
    assert found.advance(3)
    assert not found.finished
    assert found.advance(100)
    assert (found.step, found.finished) == (5, True)
    assert found.advance(1)
    assert found.history.steps(0)["step"] == [1, 2, 3, 4, 5]


def test_a_deadline_stops_it_between_steps(three_classes: Data) -> None:
    found = run(three_classes)
    assert not found.advance(10, deadline=time.monotonic() - 1)
    assert found.step == 0
    assert found.advance(10, deadline=time.monotonic() + 3600)
    clock = run(three_classes, steps=10**6)
    started = time.monotonic()
    assert not clock.advance(10**6, deadline=started + 0.2)
    assert clock.step > 0
    assert time.monotonic() - started < 5


def test_stopping_and_going_on_changes_nothing(three_classes: Data) -> None:
    whole, parts = run(three_classes), run(three_classes)
    whole.advance(20)
    for _ in range(10):
        parts.advance(2)
        parts.evaluate()
    assert torch.equal(whole.population.stack.flat, parts.population.stack.flat)


def test_rates_follow_each_trials_schedule(three_classes: Data) -> None:
    settings = [Setting(batch_size=16, lr=0.1, schedule="constant", warmup=0), Setting(batch_size=16, lr=0.2)]
    found = run(three_classes, *settings, steps=20)
    found.advance(20)
    assert set(found.history.steps(0)["lr"]) == {0.1}
    rates = found.history.steps(1)["lr"]
    assert max(rates) == pytest.approx(0.2, rel=0.01)
    assert 0 < rates[-1] < 0.01


def test_a_cut_keeps_the_trials_their_numbers_and_their_names(three_classes: Data) -> None:
    settings = [Setting(batch_size=16, seed=k, lr=0.01 * (k + 1)) for k in range(4)]
    found = run(three_classes, *settings, trials=[10, 11, 12, 13])
    found.advance(5)
    found.evaluate()
    found.keep([2, 0])
    found.advance(5)
    metrics = found.evaluate()
    assert (found.settings, found.trials, len(metrics)) == ([settings[2], settings[0]], [12, 10], 2)
    assert {trial: len(found.history.steps(trial)["step"]) for trial in (10, 11, 12, 13)} == {
        10: 10,
        11: 5,
        12: 10,
        13: 5,
    }
    assert set(found.best) == {10, 11, 12, 13}
    alone = run(three_classes, settings[2])
    alone.advance(10)
    torch.testing.assert_close(found.population.state(0), alone.population.state(0), rtol=1e-5, atol=1e-6)


def test_the_best_weights_are_kept_when_training_goes_wrong_afterwards(three_classes: Data) -> None:
    found = run(three_classes, Setting(batch_size=16, lr=0.02), trials=[5])
    found.advance(30)
    good = found.evaluate()[0]
    found.population.stack.flat.mul_(-1)
    found.advance(1)
    bad = found.evaluate()[0]
    assert bad["accuracy"] < good["accuracy"]
    kept = found.best[5]
    assert (kept.trial, kept.validation, kept.epoch) == (5, good, -(-30 // found.steps_per_epoch))
    module = network(three_classes).build(0)
    module.load_state_dict(kept.state)
    assert evaluate(module, three_classes.validation, "classification") == pytest.approx(good)


def test_a_trial_that_became_nan_is_outranked_by_what_it_was(three_classes: Data) -> None:
    found = run(three_classes)
    before = found.evaluate()[0]
    found.population.stack.flat.fill_(torch.nan)
    found.advance(1)
    found.evaluate()
    assert found.best[0].validation == before
    assert all(value.isfinite().all() for value in found.best[0].state.values())


def test_it_evaluates_every_so_many_steps_and_each_step_once(three_classes: Data) -> None:
    rows = []
    found = run(three_classes, every=7, history=History(on_epoch=rows.append))
    found.advance(20)
    assert [row["step"] for row in rows] == [7, 14]
    found.advance(1)
    assert found.evaluate() is found.evaluate()
    assert [row["step"] for row in rows] == [7, 14, 21]
    assert [row["epoch"] for row in rows] == [-(-step // found.steps_per_epoch) for step in (7, 14, 21)]


def test_metrics_of_a_regression_are_in_units_of_the_target(numbers: Data) -> None:
    found = run(numbers)
    metrics = found.evaluate()[0]
    outputs = outputs_on(found.population, numbers.validation)[0].flatten()
    target = numbers.preprocessing.target
    error = target.restore(outputs) - target.restore(numbers.validation.y)
    assert metrics["rmse"] == pytest.approx(error.square().mean().sqrt().item(), rel=1e-4)
    assert metrics["rmse"] > 3


def test_a_probe_is_a_fixed_sample_of_rows() -> None:
    split = MemorySplit(torch.arange(100.0), torch.arange(100))
    few = probed(split, 10)
    assert len(few) == 10
    assert few.y.tolist() == sorted(set(few.y.tolist()))
    assert torch.equal(few.y, probed(split, 10).y)
    assert probed(split, 100) is split


def test_training_leaves_the_global_generator_alone(three_classes: Data) -> None:
    before = torch.get_rng_state()
    found = run(three_classes, Setting(batch_size=16, dropout=0.5), Setting(batch_size=16, seed=1))
    found.advance(3)
    found.evaluate()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([Setting(batch_size=16), Setting(batch_size=32)], r"one batch size, got \[16, 32\]"),
        ([Setting(optimizer="adam"), Setting(optimizer="sgd")], "one kind of rule, got Adam, SGD"),
        ([], "one batch size"),
    ],
)
def test_settings_that_cannot_be_trained_together_are_refused(
    three_classes: Data, settings: list[Setting], said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        Run(three_classes, network(three_classes), settings, steps=5)


def rates_of(found: Run, monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """The rates that the population is given, step by step."""
    seen: list[list[float]] = []
    step = found.population.step
    monkeypatch.setattr(
        found.population, "step", lambda x, y, rates, **more: (seen.append(rates), step(x, y, rates, **more))[1]
    )
    return seen


def test_the_rate_of_each_trial_is_its_peak_times_its_schedule(
    three_classes: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [
        Setting(batch_size=16, lr=0.5, schedule=name, warmup=w) for name, w in (("cosine", 0.0), ("linear", 0.2))
    ]
    found = run(three_classes, *settings, steps=10)
    seen = rates_of(found, monkeypatch)
    found.advance(10)
    wanted = torch.stack([0.5 * table(s.shape(), 10) for s in settings], dim=1)
    assert seen == wanted.tolist()


def test_a_plateau_follows_the_validation_loss_of_its_own_trial(
    three_classes: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [Setting(batch_size=16, lr=0.5, schedule="plateau", warmup=w) for w in (0.0, 0.0)]
    found = run(three_classes, *settings, steps=40, trials=[7, 8])
    seen = rates_of(found, monkeypatch)
    for step in range(1, 31):
        found.advance(1)
        found.measured[7].append((step / 40, 1.0))  # stands still
        found.measured[8].append((step / 40, 1 / step))  # improves
    falls = [0.5 * 0.1 ** max(0, (step - 1) // 11) for step in range(30)]  # patience is 10: the 11th in a row
    assert [rates[0] for rates in seen] == pytest.approx(falls)
    assert [rates[1] for rates in seen] == [0.5] * 30


def test_an_evaluation_is_what_a_plateau_sees(three_classes: Data) -> None:
    found = run(three_classes, Setting(batch_size=16, schedule="plateau"), every=5, steps=20)
    found.advance(20)
    losses = found.history.epochs()["validation_loss"]
    assert found.measured[0] == [(step / 20, loss) for step, loss in zip((5, 10, 15, 20), losses, strict=True)]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_one_cycle_moves_the_momentum_of_its_own_trial(three_classes: Data, optimizer: str) -> None:
    settings = [Setting(optimizer, batch_size=16, schedule=s, warmup=0.0) for s in ("one_cycle", "cosine")]
    found = run(three_classes, *settings, steps=20)
    found.advance(10)
    update = found.population.update
    rule = next(iter(update.rules.values())) if isinstance(update.rules, dict) else update.rules[0]
    name = "beta1" if optimizer == "adamw" else "momentum"
    own = getattr(settings[1].rule(), name)
    assert getattr(rule, name).flatten().tolist() == pytest.approx([OneCycle().momentum(9 / 20), own])
    found.keep([1])
    found.advance(1)
    assert found.history.steps(1)["lr"][-1] == pytest.approx(settings[1].lr * table(Cosine(), 20)[10].item())


def test_one_cycle_leaves_plain_descent_as_it_is(three_classes: Data) -> None:
    found = run(three_classes, Setting("sgd", momentum=0.0, batch_size=16, schedule="one_cycle"), steps=4)
    assert found.advance(4)
