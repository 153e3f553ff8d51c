"""A monitor in loops as people write them: healthy ones, and ones with a mistake in them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.diagnosis import Finding, Monitor
from ravine.optim import AdamW as OurAdamW
from ravine.randomness import generator

CENTERS = 3 * torch.randn(4, 8, generator=generator(0, "centers"))


def batches(steps: int = 60, rows: int = 32) -> Iterator[tuple[Tensor, Tensor]]:
    """Four clouds of points in eight dimensions, one batch after another."""
    for step in range(steps):
        draw = generator(1, "batch", step)
        y = torch.randint(4, (rows,), generator=draw)
        yield CENTERS[y] + torch.randn(rows, 8, generator=draw), y


def network(*more: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4), *more)


def sgd(model: nn.Module, lr: float = 0.05, **more: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, **more)


def trained(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    clear: bool = True,
    rows: int = 32,
    steps: int = 60,
    every: int = 10,
) -> list[Finding]:
    """The loop of a textbook under a monitor's eyes, and what it says at the end."""
    with Monitor(model, optimizer, every=every) as monitor:
        for x, y in batches(steps, rows):
            if clear:
                optimizer.zero_grad()
            loss = loss_of(model(x), y)
            with monitor.step(loss):
                loss.backward()
                optimizer.step()
        return monitor.findings()


def first(findings: list[Finding]) -> str:
    return findings[0].fault if findings and findings[0].alarm else ""


def test_a_healthy_loop_is_told_nothing() -> None:
    model = network()
    assert trained(model, sgd(model)) == []


@pytest.mark.parametrize("make", [torch.optim.Adam, OurAdamW, torch.optim.RMSprop])
def test_rules_of_other_kinds_are_healthy_too(make: Any) -> None:
    model = network(nn.BatchNorm1d(4), nn.Dropout(0.1))
    assert trained(model, make(model.parameters(), lr=3e-3)) == []


def test_a_forgotten_zero_grad_is_found() -> None:
    model = network()
    found = trained(model, sgd(model, 0.01), clear=False)
    assert first(found) == "gradients-not-cleared"
    assert found[0].evidence["steps_that_added"] == found[0].evidence["steps_looked_at"]


@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_gathered_over_four_batches_are_no_fault(to_none: bool) -> None:
    model = network()
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=5) as monitor:
        for i, (x, y) in enumerate(batches(80)):
            loss = F.cross_entropy(model(x), y) / 4
            monitor.watch(loss)
            loss.backward()
            if i % 4 == 3:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=to_none)
        assert monitor.findings() == []


def test_zero_grad_once_in_an_epoch_is_too_seldom() -> None:
    model = network()
    optimizer = sgd(model, 0.01)
    monitor = Monitor(model, optimizer, every=1)
    for i, (x, y) in enumerate(batches(40)):
        if i % 20 == 0:
            optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert first(monitor.findings()) == "gradients-not-cleared"


def test_gradients_cleared_before_the_step_are_found() -> None:
    model = network()
    optimizer = sgd(model)
    monitor = Monitor(model, optimizer, every=5)
    for x, y in batches(20):
        F.cross_entropy(model(x), y).backward()
        optimizer.zero_grad()
        optimizer.step()
    found = monitor.findings()
    assert first(found) == "vanishing-gradient"
    assert "zero_grad" in found[0].advice


def test_an_optimizer_made_before_a_layer_was_replaced_is_found() -> None:
    model = network()
    optimizer = sgd(model)
    model[2] = nn.Linear(32, 32)
    found = trained(model, optimizer)
    assert first(found) == "stale-or-foreign-parameters"
    assert found[0].where == "2.weight, 2.bias"


def test_an_optimizer_of_a_copy_is_found() -> None:
    model = network()
    assert first(trained(model, sgd(copy.deepcopy(model)))) == "stale-or-foreign-parameters"


def test_a_head_that_was_added_after_the_optimizer_is_found() -> None:
    model = network()
    optimizer = sgd(model)
    model.append(nn.Linear(4, 4))
    assert first(trained(model, optimizer)) == "stale-or-foreign-parameters"


def test_training_only_the_last_layer_is_no_alarm() -> None:
    model = network()
    found = trained(model, torch.optim.SGD(model[4].parameters(), lr=0.05))
    assert not any(finding.alarm for finding in found)


def test_a_loss_with_parameters_of_its_own_is_no_fault() -> None:
    model, scale = network(), nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([*model.parameters(), scale], lr=0.05)
    assert trained(model, optimizer, loss_of=lambda out, y: F.cross_entropy(out * scale, y)) == []


def test_a_model_left_in_evaluation_mode_is_found() -> None:
    model = network(nn.BatchNorm1d(4)).eval()
    assert first(trained(model, sgd(model))) == "train-eval-mismatch"


def test_forgetting_train_after_an_evaluation_is_found() -> None:
    model = nn.Sequential(nn.Dropout(0.2), network())
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=5) as monitor:
        for i, (x, y) in enumerate(batches(60)):
            if i % 20 == 19:
                model.eval()
                with torch.no_grad():
                    model(x)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        assert first(monitor.findings()) == "train-eval-mismatch"


def test_evaluating_between_steps_is_no_fault() -> None:
    model = nn.Sequential(nn.Dropout(0.2), network())
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=1) as monitor:
        for x, y in batches(30):
            loss = F.cross_entropy(model.train()(x), y)
            optimizer.zero_grad()
            with monitor.step(loss):
                loss.backward()
                with torch.no_grad():
                    model.eval()(x)
                optimizer.step()
        assert monitor.findings() == []


def test_evaluation_mode_where_nothing_depends_on_it_is_no_fault() -> None:
    model = network().eval()
    assert trained(model, sgd(model)) == []


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_softmax_before_cross_entropy_is_found(smoothing: float) -> None:
    model = network(nn.Softmax(1))
    found = trained(model, sgd(model), loss_of=lambda out, y: F.cross_entropy(out, y, label_smoothing=smoothing))
    assert first(found) == "softmax-before-loss"


def test_a_softmax_written_as_a_function_is_found_and_a_logarithm_of_it_is_not() -> None:
    model = network()
    assert first(trained(model, sgd(model), loss_of=lambda out, y: F.cross_entropy(out.softmax(1), y))) == (
        "softmax-before-loss"
    )
    for healthy in (
        lambda out, y: F.nll_loss(out.log_softmax(1), y),
        lambda out, y: F.cross_entropy(out.log_softmax(1), y),
    ):
        model = network()
        assert trained(model, sgd(model), loss_of=healthy) == []


def test_a_sigmoid_before_a_loss_with_one_and_probabilities_without_logarithm_are_found() -> None:
    def twice(out: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(out.sigmoid(), F.one_hot(y, 4).float())

    for loss_of in (twice, lambda out, y: F.nll_loss(out.softmax(1), y)):
        model = network()
        assert first(trained(model, sgd(model), loss_of=loss_of)) == "softmax-before-loss"


def test_nll_of_logits_is_the_wrong_loss() -> None:
    model = network()
    assert first(trained(model, sgd(model, 1e-3), loss_of=F.nll_loss)) == "wrong-loss"


def test_a_loss_summed_over_a_large_batch_is_found() -> None:
    model = network()
    found = trained(model, sgd(model), rows=256, loss_of=lambda out, y: F.cross_entropy(out, y, reduction="sum"))
    assert first(found) == "lr-too-high"
    assert found[0].where == "the loss's reduction"
    assert found[0].evidence["rows_in_a_batch"] == 256


@pytest.mark.parametrize("loss_of", [lambda o, y: F.cross_entropy(o, y, reduction="sum") / len(y)])
def test_a_sum_divided_by_its_rows_is_a_mean(loss_of: Callable[[Tensor, Tensor], Tensor]) -> None:
    model = network()
    assert trained(model, sgd(model), rows=256, loss_of=loss_of) == []


def test_a_sum_with_a_rate_made_for_it_is_no_alarm() -> None:
    model = network()
    found = trained(
        model, sgd(model, 0.05 / 256), rows=256, loss_of=lambda o, y: F.cross_entropy(o, y, reduction="sum")
    )
    assert not any(finding.alarm for finding in found)


def test_a_penalty_summed_over_weights_is_no_sum_over_the_batch() -> None:
    model = network()

    def loss_of(out: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(out, y) + 1e-4 * sum(p.square().sum() for p in model.parameters())

    assert trained(model, sgd(model), loss_of=loss_of) == []


def test_ascent_is_found_by_the_sign_and_by_the_optimizer() -> None:
    model = network()
    assert first(trained(model, sgd(model, 1e-3), loss_of=lambda o, y: -F.cross_entropy(o, y))) == "gradient-ascent"
    model = network()
    assert first(trained(model, sgd(model, 1e-3, maximize=True))) == "gradient-ascent"


def test_a_backward_of_minus_the_loss_is_found_by_its_course() -> None:
    model = network()
    optimizer = sgd(model, 3e-3)
    with Monitor(model, optimizer) as monitor:
        for x, y in batches(80):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            with monitor.step(loss):
                (-loss).backward()
                optimizer.step()
        assert first(monitor.findings()) == "gradient-ascent"


def test_a_loss_that_an_adversary_makes_rise_is_no_alarm() -> None:
    model, adversary = network(), network(nn.Linear(4, 4))[-1]
    optimizer, other = sgd(model, 1e-4), torch.optim.SGD(adversary.parameters(), lr=0.3, maximize=True)
    with Monitor(model, optimizer, every=10) as monitor:
        for x, y in batches():
            loss = F.cross_entropy(adversary(model(x)), y)
            optimizer.zero_grad()
            other.zero_grad()
            with monitor.step(loss):
                loss.backward()
                optimizer.step()
            other.step()
        found = monitor.findings()
    assert "gradient-ascent" in [finding.fault for finding in found]  # the loss does rise
    assert not any(finding.alarm for finding in found)


def test_a_rate_that_is_too_high_is_found_by_the_course_of_the_loss() -> None:
    model = network()
    assert first(trained(model, sgd(model, 30.0))) == "lr-too-high"


def test_nan_in_the_input_is_the_root() -> None:
    model = network()
    optimizer = sgd(model)
    with Monitor(model, optimizer) as monitor:
        for x, y in batches(10):
            x[0, 0] = math.nan
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            with monitor.step(loss):
                loss.backward()
                optimizer.step()
        assert first(monitor.findings()) == "nan-input"


def test_layers_without_a_gradient_are_found() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head, self.spare = nn.Linear(8, 32), nn.Linear(32, 4), nn.Linear(32, 32)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.body(x).relu().detach())

    model = Cut()
    found = {finding.fault: finding for finding in trained(model, sgd(model))}
    assert found["frozen-parameters"].where == "body.weight, body.bias"
    assert found["unused-parameters"].where == "spare.weight, spare.bias"
    assert found["frozen-parameters"].alarm


def test_a_layer_of_dead_units_is_found() -> None:
    model = network()
    nn.init.constant_(model[2].bias, -50.0)
    assert "dead-units" in [finding.fault for finding in trained(model, sgd(model)) if finding.alarm]


def test_a_closure_is_watched() -> None:
    model = network()
    for clear in (True, False):
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
        with Monitor(model, optimizer, every=2) as monitor:
            for x, y in batches(8, 128):

                def closure(x: Tensor = x, y: Tensor = y, clear: bool = clear) -> Tensor:
                    if clear:
                        model.zero_grad()
                    loss = F.cross_entropy(model(x), y)
                    loss.backward()
                    return loss

                optimizer.step(closure)
            assert first(monitor.findings()) == ("" if clear else "gradients-not-cleared")


def test_two_optimizers_that_share_a_model_are_no_fault() -> None:
    for together in (True, False):
        model = network()
        parts = [torch.optim.SGD(model[0].parameters(), lr=0.05), torch.optim.Adam(model[2:].parameters(), lr=1e-3)]
        monitor = Monitor(model, parts if together else parts[0], every=5)
        for x, y in batches(30):
            loss = F.cross_entropy(model(x), y)
            for one in parts:
                one.zero_grad()
            with monitor.step(loss):
                loss.backward()
                for one in parts:
                    one.step()
        assert not any(finding.alarm for finding in monitor.findings())


def test_the_model_is_trained_to_the_same_bits_and_left_without_hooks() -> None:
    watched, alone = (nn.Sequential(nn.Dropout(0.3), network(nn.BatchNorm1d(4))) for _ in range(2))
    torch.manual_seed(5)
    optimizer = sgd(watched, momentum=0.9)
    trained(watched, optimizer, every=3)
    torch.manual_seed(5)
    other = sgd(alone, momentum=0.9)
    for x, y in batches():
        other.zero_grad()
        F.cross_entropy(alone(x), y).backward()
        other.step()
    for (name, a), b in zip(watched.state_dict().items(), alone.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert not any(module._forward_hooks for module in watched.modules())
    assert not any(p._backward_hooks or p._post_accumulate_grad_hooks for p in watched.parameters())
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_most_steps_are_not_looked_at() -> None:
    model = network()
    optimizer = sgd(model)
    looks = []
    with Monitor(model, optimizer, every=20):
        for x, y in batches(60):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            looks.append(bool(model._forward_hooks))
            optimizer.step()
    assert [i + 1 for i, hooked in enumerate(looks) if hooked] == [1, 2, 3, 10, 20, 30, 40, 60]


@pytest.mark.parametrize("watched", ["module", "compiled"])
def test_a_compiled_model_is_watched_from_inside_and_outside(watched: str) -> None:
    for end, expected in (((), ""), ((nn.Softmax(1),), "softmax-before-loss")):
        model = network(*end)
        compiled: Any = torch.compile(model, backend="eager")
        optimizer = sgd(model)
        with Monitor(model if watched == "module" else compiled, optimizer, every=10) as monitor:
            for x, y in batches(30):
                optimizer.zero_grad()
                loss = F.cross_entropy(compiled(x), y)
                with monitor.step(loss):
                    loss.backward()
                    optimizer.step()
            assert first(monitor.findings()) == expected
        torch._dynamo.reset()


def test_a_scaler_of_gradients_is_no_fault() -> None:
    model = network(nn.BatchNorm1d(4))
    optimizer, scaler = sgd(model), torch.amp.GradScaler("cpu")
    with Monitor(model, optimizer, every=5) as monitor:
        for x, y in batches():
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x).float(), y)
            monitor.watch(loss)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
        assert monitor.findings() == []


def test_an_alarm_is_told_once_when_it_appears() -> None:
    model, told = network(nn.Softmax(1)), []
    optimizer = sgd(model)
    with Monitor(model, optimizer, every=5, on_finding=told.append) as monitor:
        for step, (x, y) in enumerate(batches(20)):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            monitor.watch(loss)
            loss.backward()
            optimizer.step()
            assert len(told) == 1, step
    assert told[0].fault == "softmax-before-loss"


def test_every_must_be_a_number_of_steps() -> None:
    model = network()
    with pytest.raises(ValueError, match="every is 0"):
        Monitor(model, sgd(model), every=0)


class Parts(nn.Module):
    """A model whose own forward is never called, as in Lightning, beside a teacher that stays as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.student, self.teacher = network(nn.Dropout(0.1)), network(nn.Dropout(0.1)).requires_grad_(False)


@pytest.mark.parametrize(("training", "found"), [(True, []), (False, ["train-eval-mismatch"])])
def test_the_mode_of_the_part_that_learns_is_seen_and_that_of_a_frozen_one_is_not(
    training: bool, found: list[str]
) -> None:
    parts = Parts()
    parts.student.train(training)
    parts.teacher.train(not training)
    optimizer = sgd(parts.student)
    with Monitor(parts, optimizer, every=10) as monitor:
        for x, y in batches(30):
            optimizer.zero_grad()
            loss = (
                F.cross_entropy(parts.student(x), y) + 0 * parts.teacher(x).sum()
            )  # in a mode that is nobody's business
            with monitor.step(loss):
                loss.backward()
                optimizer.step()
        assert monitor.steps == 30
        assert [finding.fault for finding in monitor.findings()] == found
