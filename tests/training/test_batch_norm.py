"""Batch norm's statistics estimated again, and the choice between a model and its averages."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ravine.errors import InputError, ModelError
from ravine.training.batch_norm import best_of, choose_average, has_batch_norm, reestimate_batch_norm
from ravine.types import Metrics


def network(seed: int = 0, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(seed)
    first = nn.BatchNorm1d(4, momentum=0.3)
    return nn.Sequential(nn.Linear(3, 4), first, nn.ReLU(), nn.Dropout(dropout), nn.Linear(4, 2), nn.BatchNorm1d(2))


def batches(count: int = 4, rows: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(count)
    return [2 + 3 * torch.randn(rows, 3, generator=generator) for _ in range(count)]


def statistics(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


def test_the_statistics_are_means_over_batches_worked_by_hand() -> None:
    module, seen = nn.BatchNorm1d(3).eval(), batches(3)
    reestimate_batch_norm(module, seen)
    torch.testing.assert_close(module.running_mean, torch.stack([batch.mean(0) for batch in seen]).mean(0))
    torch.testing.assert_close(module.running_var, torch.stack([batch.var(0) for batch in seen]).mean(0))
    assert module.num_batches_tracked is not None
    assert module.num_batches_tracked.item() == 3


@pytest.mark.parametrize("training", [True, False])
def test_without_dropout_they_are_those_of_torchs_update_bn(training: bool) -> None:
    ours, theirs = network().train(training), network().train(training)
    reestimate_batch_norm(ours, iter(batches()))
    update_bn(batches(), theirs)
    for name, buffer in statistics(theirs).items():
        torch.testing.assert_close(statistics(ours)[name], buffer)


def test_dropout_stays_off_meanwhile() -> None:
    dropped, plain, theirs = network(dropout=0.5).train(), network().train(), network(dropout=0.5).train()
    reestimate_batch_norm(dropped, batches())
    reestimate_batch_norm(plain, batches())
    update_bn(batches(), theirs)
    assert torch.equal(statistics(dropped)["5.running_var"], statistics(plain)["5.running_var"])
    assert not torch.allclose(statistics(theirs)["5.running_var"], statistics(plain)["5.running_var"], rtol=0.01)


def test_weights_flags_and_momenta_are_as_before() -> None:
    module = network(dropout=0.5).train()
    module[5].eval()
    module[5].momentum = None  # type: ignore[assignment]
    weights = [param.clone() for param in module.parameters()]
    reestimate_batch_norm(module, batches())
    assert [one.training for one in module] == [True, True, True, True, True, False]
    assert module.training
    assert (module[1].momentum, module[5].momentum) == (0.3, None)
    assert all(torch.equal(a, b) for a, b in zip(weights, module.parameters(), strict=True))
    assert all(param.grad is None for param in module.parameters())


@pytest.mark.parametrize(
    ("wrong", "error"),
    [([], InputError), ([torch.zeros(8, 3), torch.zeros(8, 7)], RuntimeError), ([torch.zeros(1, 3)], ValueError)],
    ids=["no batches", "a batch of another width", "a batch of one row"],
)
def test_after_an_error_all_is_as_before(wrong: list[Tensor], error: type[Exception]) -> None:
    module = network().train()
    reestimate_batch_norm(module, batches())
    before = statistics(module)
    with pytest.raises(error):
        reestimate_batch_norm(module, wrong)
    assert all(torch.equal(before[name], buffer) for name, buffer in statistics(module).items())
    assert module.training
    assert module[1].momentum == 0.3


def test_a_module_without_batch_norm_is_left_alone() -> None:
    def never() -> Tensor:
        raise AssertionError("the batches were looked at")

    module = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5), nn.LayerNorm(2)).train()
    assert not has_batch_norm(module)
    reestimate_batch_norm(module, (never() for _ in range(1)))
    assert module.training


def test_batch_norm_is_found_where_it_keeps_statistics() -> None:
    assert has_batch_norm(network())
    assert has_batch_norm(nn.Sequential(nn.Sequential(nn.BatchNorm2d(2))))
    assert not has_batch_norm(nn.BatchNorm1d(2, track_running_stats=False))
    assert not has_batch_norm(nn.InstanceNorm1d(2, track_running_stats=True))


def constant(value: float) -> nn.Linear:
    module = nn.Linear(1, 1)
    nn.init.constant_(module.weight, value)
    return module


def by_weight(module: nn.Module) -> Metrics:
    """A classifier whose accuracy is its weight."""
    return {"accuracy": next(module.parameters()).detach().item(), "nll": 1.0}


@pytest.mark.parametrize(
    ("single", "average", "kind"),
    [
        (0.5, 0.75, "average"),
        (0.75, 0.5, "single"),
        (0.5, 0.5, "single"),
        (0.5, math.nan, "single"),
        (math.nan, 0.5, "average"),
        (math.nan, math.nan, "single"),
    ],
)
def test_an_average_is_chosen_only_where_it_is_better(single: float, average: float, kind: str) -> None:
    models = {"single": constant(single), "average": constant(average)}
    choice = choose_average(models["single"], models["average"], [], by_weight)
    assert choice.kind == kind
    assert choice.module is models[kind]
    assert list(choice.scores) == ["single", "average"]
    record = json.loads(json.dumps(choice.record(), allow_nan=False))
    assert record["chosen"] == kind
    assert record["scores"]["average"] == {"accuracy": None if math.isnan(average) else average, "nll": 1.0}


def test_an_average_with_statistics_of_other_weights_is_mended_and_chosen() -> None:
    single, average, x = network(1).eval(), network(2).eval(), torch.cat(batches())
    average[1].running_mean.fill_(50.0)  # type: ignore[union-attr,operator]
    before, weights = statistics(average), average[0].weight.clone()

    def settled(module: nn.Module) -> Metrics:
        """The closer the outputs are to mean 0, the better: what right statistics bring about."""
        assert not module.training
        return {"rmse": 9.0 if module is single else module(x).detach().mean(0).norm().item(), "r2": 0.0}

    choice = choose_average(single, average, batches(), settled)
    assert choice.kind == "average_reestimated"
    assert list(choice.scores) == ["single", "average", "average_reestimated"]
    assert choice.scores["average_reestimated"]["rmse"] < 0.05 < 0.1 < choice.scores["average"]["rmse"]
    assert choice.module is not average
    assert torch.equal(choice.module[0].weight, weights)  # type: ignore[index]
    assert all(torch.equal(before[name], buffer) for name, buffer in statistics(average).items())


def test_of_equals_the_first_named_is_chosen() -> None:
    same = {name: constant(0.5) for name in ("single", "average", "other")}
    assert best_of(same, by_weight).kind == "single"
    assert best_of(dict(reversed(same.items())), by_weight).kind == "other"
    with pytest.raises(ModelError, match="no model"):
        best_of({}, by_weight)
