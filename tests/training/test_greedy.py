"""Greedy selection: against a naive copy of it, against every multiset there is, and its promises."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from ravine.errors import ModelError, SettingError
from ravine.training import Ensemble, averaged
from ravine.training.greedy import Selection, greedy_selection
from ravine.training.objective import losses_of
from ravine.types import Task

TASKS: list[Task] = ["classification", "regression"]


def models(task: Task, count: int, seed: int, n: int = 40) -> tuple[Tensor, Tensor]:
    """Outputs of models that err independently, some more than others, [M, N, ...], and y [N]."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, 1, 1, generator=generator, dtype=torch.float64) + 0.5
    if task == "classification":
        y = torch.randint(3, (n,), generator=generator)
        truth = 2 * torch.nn.functional.one_hot(y, 3).double()
        return truth + 2 * noise * torch.randn(count, n, 3, generator=generator, dtype=torch.float64), y
    y = torch.randn(n, generator=generator, dtype=torch.float64)
    return y[:, None] + noise * torch.randn(count, n, 1, generator=generator, dtype=torch.float64), y


def score(outputs: Tensor, y: Tensor, task: Task, added: tuple[int, ...] | list[int]) -> float:
    """NLL or mean squared error of the average of outputs[added], by way of `averaged`."""
    return float(losses_of(task, averaged(outputs[list(added)], task).unsqueeze(0), y))


def naive(outputs: Tensor, y: Tensor, task: Task, size: int) -> tuple[list[int], list[float]]:
    """The additions and the scores, every ensemble averaged anew."""
    added: list[int] = []
    path = [math.inf]
    while len(added) < 4 * size:
        allowed = set(added) if len(set(added)) == size else set(range(len(outputs)))
        value, model = min((score(outputs, y, task, [*added, m]), m) for m in allowed)
        if value < path[-1] * (1 - 1e-9):
            added.append(model)
            path.append(value)
        else:
            added = added * 2
    return added, path[1:]


def unfolded(found: Selection) -> list[int]:
    return [m for m, weight in zip(found.members, found.weights, strict=True) for _ in range(weight)]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [1, 2, 4, 9])
@pytest.mark.parametrize("seed", range(4))
def test_the_path_is_that_of_a_naive_selection(task: Task, size: int, seed: int) -> None:
    outputs, y = models(task, 9, seed)
    added, path = naive(outputs, y, task, size)
    found = greedy_selection(outputs, y, task, size=size)
    assert found.path == pytest.approx(path, rel=1e-9)
    common = math.gcd(*(added.count(m) for m in set(added)))
    assert {m: w * common for m, w in zip(found.members, found.weights, strict=True)} == Counter(added)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", range(8))
def test_against_every_multiset_of_two_models(task: Task, seed: int) -> None:
    outputs, y = models(task, 2, seed)
    found = greedy_selection(outputs, y, task, size=2)
    every = {n: [score(outputs, y, task, [0] * k + [1] * (n - k)) for k in range(n + 1)] for n in range(1, 9)}
    assert found.single_score == pytest.approx(min(every[1]))
    best = min(min(values) for values in every.values())
    assert found.score >= best - 1e-12
    assert found.score <= 1.05 * best  # no addition is taken back, and not every ratio is tried


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", range(6))
def test_against_the_best_multiset_of_five_models(task: Task, seed: int) -> None:
    outputs, y = models(task, 5, seed)
    found = greedy_selection(outputs, y, task, size=3)
    multisets = [some for n in (1, 2, 3, 4, 5, 6) for some in itertools.combinations_with_replacement(range(5), n)]
    best = min(score(outputs, y, task, some) for some in multisets if len(set(some)) <= 3)
    assert found.score - best <= 0.25 * (found.single_score - best)  # greedy, but most of what there is to gain


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("start", [1, 2, 3])
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_promised(task: Task, start: int, size: int, seed: int) -> None:
    outputs, y = models(task, 12, seed)
    found = greedy_selection(list(outputs), y, task, size=size, start=start)
    singles = [score(outputs, y, task, [m]) for m in range(12)]
    assert found.path[0] == found.single_score == pytest.approx(min(singles))
    assert found.score == found.path[-1] <= found.single_score
    assert all(later < earlier for earlier, later in itertools.pairwise(found.path[start - 1 :]))
    assert 1 <= len(found.members) <= size
    assert len(set(found.members)) == len(found.members)
    assert sum(found.weights) <= 4 * size
    assert list(found.weights) == sorted(found.weights, reverse=True)
    assert found.score == pytest.approx(score(outputs, y, task, unfolded(found)))


def test_a_second_model_that_helps_at_a_small_weight_comes_in() -> None:
    y = torch.zeros(2, dtype=torch.float64)
    outputs = torch.tensor([[1.0, 1.0], [-3.0, -3.0]], dtype=torch.float64)  # together: 1 at 1 : 1, and 0 at 3 : 1
    found = greedy_selection(outputs, y, "regression")
    assert (found.members, found.weights) == ((0, 1), (3, 1))
    assert found.path == pytest.approx((1.0, 1 / 9, 0.0))  # 2 : 1, then 3 : 1


def test_the_ensemble_of_a_selection_reaches_its_score() -> None:
    outputs, y = models("classification", 6, 1)
    found = greedy_selection(outputs, y, "classification")
    together = averaged(outputs[list(found.members)], "classification", weights=found.weights)
    assert float(losses_of("classification", together.unsqueeze(0), y)) == pytest.approx(found.score)
    members = [torch.nn.Identity() for _ in found.members]
    assert Ensemble(members, "classification", weights=found.weights).weights is not None


def test_a_sorted_start_takes_the_best_few_that_do_well_together() -> None:
    y = torch.zeros(2)
    outputs = torch.tensor([[3.0, 3.0], [1.0, 1.0], [2.0, 2.0], [-2.0, -1.0]])  # singles: 9, 1, 4, 2.5
    found = greedy_selection(outputs, y, "regression", size=3, start=3)
    assert found.path[:2] == pytest.approx([1.0, 0.125])  # 1 and 3; the third best, 2, would have spoiled them
    assert set(found.members) >= {1, 3}
    one = greedy_selection(torch.tensor([[1.0, 1.0], [2.0, 2.0]]), y, "regression", size=2, start=2)
    assert (one.members, one.path) == ((0,), (1.0,))


def test_another_score_is_lowered_in_place_of_nll() -> None:
    outputs, y = models("classification", 8, 3)

    def errors(answers: Tensor, y: Tensor) -> Tensor:
        assert answers.shape[1:] == (40, 3)
        torch.testing.assert_close(answers.exp().sum(-1), torch.ones(answers.shape[:2], dtype=answers.dtype))
        return (answers.argmax(-1) != y).double().mean(1)

    found = greedy_selection(outputs, y, "classification", by=errors)
    assert found.single_score == min((one.argmax(-1) != y).double().mean().item() for one in outputs)
    mean = averaged(outputs[list(found.members)], "classification", weights=found.weights)
    assert found.score == (mean.argmax(-1) != y).double().mean().item()
    assert found.score < found.single_score


def test_the_same_selection_by_nll_given_and_by_default() -> None:
    outputs, y = models("classification", 8, 3)
    default = greedy_selection(outputs, y, "classification")
    given = greedy_selection(
        outputs, y, "classification", by=lambda answers, y: losses_of("classification", answers, y)
    )
    assert (default.members, default.weights) == (given.members, given.weights)
    assert default.path == pytest.approx(given.path)


def test_chunks_do_not_change_the_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, y = models("classification", 9, 4)
    whole = greedy_selection(outputs, y, "classification")
    monkeypatch.setattr("ravine.training.greedy.ELEMENTS", 100)
    assert greedy_selection(outputs, y, "classification") == whole


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_that_diverged_is_never_chosen(task: Task, value: float) -> None:
    outputs, y = models(task, 5, 2)
    clean = greedy_selection(outputs[1:], y, task)
    spoiled = outputs.clone()
    spoiled[0, 3, 0] = value
    found = greedy_selection(spoiled, y, task)
    assert found.members == tuple(m + 1 for m in clean.members)
    assert found.path == clean.path
    with pytest.raises(ModelError, match="not finite"):
        greedy_selection(spoiled[:1], y, task)


def test_a_model_that_is_certain_and_wrong_keeps_a_finite_score() -> None:
    y = torch.tensor([0, 1])
    outputs = torch.tensor([[[0.0, 4e3], [0.0, 4e3]], [[4e3, 0.0], [4e3, 0.0]]])  # each wrong once, beyond exp's range
    found = greedy_selection(outputs, y, "classification")
    assert found.single_score == pytest.approx(2e3)
    assert found.score == pytest.approx(math.log(2))
    assert found.members == (0, 1)


def test_the_outputs_are_left_untouched() -> None:
    outputs, y = models("regression", 4, 1)
    before = outputs.clone()
    greedy_selection(outputs, y, "regression")
    assert torch.equal(outputs, before)


def test_what_does_not_fit_is_refused() -> None:
    outputs, y = models("classification", 3, 1)
    with pytest.raises(ModelError, match="at least one model"):
        greedy_selection([], y, "classification")
    with pytest.raises(ModelError, match="the same rows"):
        greedy_selection(outputs, y[:-1], "classification")
    with pytest.raises(ModelError, match="the same rows"):
        greedy_selection([outputs[0], outputs[1][:, :2]], y, "classification")
    with pytest.raises(SettingError, match="size is 0"):
        greedy_selection(outputs, y, "classification", size=0)
    for start in (0, 3):
        with pytest.raises(SettingError, match="start is"):
            greedy_selection(outputs, y, "classification", size=2, start=start)
