"""Weight averages: step by step against torch's AveragedModel, alone and stacked, saved and resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn

from ravine.errors import ModelError, SettingError
from ravine.training.averages import AVERAGES, EMA, SWA, LastK, WeightAverage, load_into

MAKE: dict[str, Callable[[], WeightAverage]] = {
    "swa": SWA,
    "ema": lambda: EMA(decay=0.8),
    "last": lambda: LastK(k=3),
}

every_kind = pytest.mark.parametrize("kind", list(AVERAGES))


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def wander(module: nn.Module, step: int) -> dict[str, Tensor]:
    """Move every weight and statistic, as training would, and return the module's state."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.randn(tensor.shape, generator=generator))
            else:
                tensor.add_(1)
    return module.state_dict()


def shown(step: int, trials: int = 4) -> dict[str, Tensor]:
    """Stacked weights of a population, [K, ...]."""
    generator = torch.Generator().manual_seed(step)
    return {"a": torch.randn(trials, 3, 2, generator=generator), "b": torch.randn(trials, 5, generator=generator)}


@pytest.mark.parametrize(
    ("make", "theirs"),
    [
        (SWA, {}),
        (lambda: EMA(0.9), {"avg_fn": get_ema_avg_fn(0.9)}),
        (lambda: EMA(0.3), {"multi_avg_fn": get_ema_multi_avg_fn(0.3)}),
    ],
    ids=["swa", "ema", "ema of short memory"],
)
def test_every_step_is_that_of_torchs_averaged_model(make: Callable[[], WeightAverage], theirs: dict[str, Any]) -> None:
    module, ours = network(), make()
    peer = AveragedModel(module, **theirs)
    for step in range(12):
        wander(module, step)
        ours.update(dict(module.named_parameters()))
        peer.update_parameters(module)
        for name, param in peer.module.named_parameters():
            torch.testing.assert_close(ours.values()[name], param.detach(), rtol=2e-6, atol=2e-6)  # float32, 12 steps
    assert ours.count == int(peer.n_averaged) == 12


def test_buffers_are_averaged_and_counters_kept_as_torch_does_with_use_buffers() -> None:
    module, ours = network(), SWA()
    peer = AveragedModel(module, use_buffers=True)
    for step in range(5):
        ours.update(wander(module, step))
        peer.update_parameters(module)
    values = ours.values()
    torch.testing.assert_close(values["1.running_mean"], peer.module[1].running_mean)  # type: ignore[index]
    assert values["1.num_batches_tracked"].item() == 5  # the newest, not a mean of counts
    assert values["1.num_batches_tracked"].dtype == torch.int64


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_the_last_k_are_averaged_equally(steps: int) -> None:
    average, module, seen = LastK(k=3), network(), []
    for step in range(steps):
        seen.append({name: tensor.clone() for name, tensor in wander(module, step).items()})
        average.update(module.state_dict())
    assert average.count == steps
    for name, value in average.values().items():
        last = torch.stack([one[name] for one in seen[-3:]])
        wanted = last.mean(0) if last.is_floating_point() else last[-1]
        torch.testing.assert_close(value, wanted)


@every_kind
def test_what_is_shown_is_copied(kind: str) -> None:
    average, weights = MAKE[kind](), {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(1)}
    before = {name: tensor.clone() for name, tensor in weights.items()}
    average.update(weights)
    average.update(weights)
    assert all(torch.equal(weights[name], before[name]) for name in weights)  # nor is it changed
    for tensor in weights.values():
        tensor.fill_(99)
    for tensor in average.values().values():
        tensor.fill_(77)
    assert average.values()["w"].tolist() == [1.0, 2.0]
    assert average.values()["n"].item() == 1


@every_kind
def test_a_stacked_trial_is_averaged_as_it_would_be_alone(kind: str) -> None:
    together, alone = MAKE[kind](), MAKE[kind]()
    for step in range(6):
        together.update(shown(step))
        alone.update({name: tensor[2] for name, tensor in shown(step).items()})
    for name, value in together.values().items():
        assert torch.equal(value[2], alone.values()[name])


@every_kind
def test_dropping_trials_leaves_the_others_averages_alone(kind: str) -> None:
    whole, narrowed, index = MAKE[kind](), MAKE[kind](), torch.tensor([3, 1])
    for step in range(6):
        whole.update(shown(step))
        if step == 3:
            narrowed.keep(index)
        narrowed.update({name: tensor[index] if step >= 3 else tensor for name, tensor in shown(step).items()})
    assert narrowed.count == whole.count
    for name, value in narrowed.values().items():
        assert torch.equal(value, whole.values()[name][index])


@every_kind
def test_a_trial_that_diverged_spoils_its_own_average_alone(kind: str) -> None:
    spoiled, clean = MAKE[kind](), MAKE[kind]()
    for step in range(3):
        weights = shown(step)
        clean.update(weights)
        weights["a"][0] = float("nan")
        spoiled.update(weights)
    assert spoiled.values()["a"][0].isnan().all()
    assert torch.equal(spoiled.values()["a"][1:], clean.values()["a"][1:])


@every_kind
def test_a_saved_average_goes_on_to_the_same_numbers(kind: str) -> None:
    whole, resumed = MAKE[kind](), MAKE[kind]()
    for step in range(4):
        whole.update(shown(step))
    state = whole.state_dict()
    resumed.load_state_dict(state)
    for step in range(4, 7):
        whole.update(shown(step))
        resumed.update(shown(step))
    assert whole.count == resumed.count == 7
    assert all(torch.equal(value, resumed.values()[name]) for name, value in whole.values().items())
    again = MAKE[kind]()
    again.load_state_dict(state)  # which neither of the two has moved
    assert again.count == 4
    for step in range(4, 7):
        again.update(shown(step))
    assert all(torch.equal(value, again.values()[name]) for name, value in whole.values().items())


@every_kind
def test_half_precision_is_averaged_in_single(kind: str) -> None:
    average = AVERAGES[kind](k=600) if kind == "last" else AVERAGES[kind]()
    for step in range(600):
        average.update({"w": torch.tensor([1.0 if step % 2 else 1.5], dtype=torch.bfloat16)})
    found = average.values()["w"]
    assert found.dtype == torch.bfloat16
    wanted = 0.999**599 * 1.5 + (1 - 0.999**599) * 1.25 if kind == "ema" else 1.25
    assert found.item() == pytest.approx(wanted, abs=0.005)  # one step of bfloat16 near 1 is 0.008


@every_kind
def test_weights_of_another_model_are_refused(kind: str) -> None:
    average = MAKE[kind]()
    with pytest.raises(ModelError, match="no weights yet"):
        average.values()
    average.update(shown(0))
    with pytest.raises(ModelError, match=r"\['b'\]"):
        average.update({"a": shown(0)["a"]})
    with pytest.raises(ModelError, match=r"a has shape \[2, 3, 2\] where \[4, 3, 2\] is needed"):
        average.update(shown(0, trials=2))
    assert average.count == 1


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(SettingError, match=r"EMA\.decay"):
        EMA(decay)


def test_no_copies_to_average_are_refused() -> None:
    with pytest.raises(SettingError, match=r"LastK\.k is 0"):
        LastK(0)


def test_an_average_is_written_into_a_module() -> None:
    source, target, average = network(1), network(2), SWA()
    average.update(source.state_dict())
    pointers = [param.data_ptr() for param in target.parameters()]
    load_into(target, average.values())
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in source.state_dict().items())
    assert [param.data_ptr() for param in target.parameters()] == pointers
    assert all(param.requires_grad for param in target.parameters())


def test_parameters_alone_are_enough_and_leave_the_buffers() -> None:
    source, target = network(1), network(2)
    target[1].running_mean.fill_(7)  # type: ignore[index,union-attr,operator]
    target.double()
    load_into(target, {name: param.detach() for name, param in source.named_parameters()})
    assert target[1].running_mean.tolist() == [7.0] * 4  # type: ignore[index,union-attr,operator]
    assert target[0].weight.dtype == torch.float64  # type: ignore[index]
    assert torch.equal(target[0].weight.float(), source[0].weight)  # type: ignore[index,union-attr,operator]


def test_an_average_of_another_module_is_refused_and_nothing_is_written() -> None:
    module = network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    values = {name: torch.zeros_like(param) for name, param in module.named_parameters()}
    for wrong, said in [
        ({**values, "stranger": torch.zeros(1)}, "stranger"),
        ({name: value for name, value in values.items() if name != "2.bias"}, r"2\.bias"),
        ({**values, "2.bias": torch.zeros(3)}, r"2\.bias has shape \[3\] where \[2\]"),
    ]:
        with pytest.raises(ModelError, match=said):
            load_into(module, wrong)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_tied_weights_are_written_under_either_name() -> None:
    module = nn.ModuleDict({"one": nn.Linear(2, 2), "two": nn.Linear(2, 2)})
    module["two"].weight = module["one"].weight
    values = {name: torch.ones_like(tensor) for name, tensor in module.state_dict().items()}
    load_into(module, values)
    assert module["two"].weight is module["one"].weight
    assert module["one"].weight.unique().tolist() == [1.0]  # type: ignore[operator,union-attr]
