"""A state on disk: it comes back to the bit, or it is refused; and a run that is restored takes the steps of one that never stopped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ravine.data import Data
from ravine.engines.population import Engine
from ravine.errors import FolderError
from ravine.models import Model
from ravine.training import EMA, Averaging, History, LastK, Run, Setting, read_snapshot, write_snapshot

STATE: dict[str, Any] = {
    "wide": torch.arange(6, dtype=torch.float64).reshape(2, 3) / 7,
    "half": [torch.tensor([1.5, math.nan], dtype=torch.bfloat16), None, {"flag": torch.tensor(True)}],
    "none at all": torch.empty(0, 4),
    "transposed": torch.arange(6.0).reshape(2, 3).t(),
    "dtype": torch.float16,
    "plain": {"loss": 0.1 + 0.2, "lost": math.nan, "far": math.inf, "word": "ü", "on": True, "pairs": [[1, 2.5]]},
}


def same(one: Any, other: Any) -> bool:
    """Equal to the bit, NaN included, and laid out alike."""
    if isinstance(one, torch.Tensor):
        laid = (one.dtype, one.shape, one.stride())
        raw = [t.contiguous().reshape(-1).view(torch.uint8) for t in (one, other)]
        return laid == (other.dtype, other.shape, other.stride()) and torch.equal(*raw)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


def test_a_state_comes_back_to_the_bit(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "state.safetensors", STATE)
    assert same(read_snapshot(tmp_path / "state.safetensors"), STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_what_shares_memory_is_written_as_if_it_did_not(tmp_path: Path) -> None:
    one = torch.arange(3.0)
    state = {"one": one, "same": one, "part": one[1:], "wide": one[1:2].expand(2, 4)}
    write_snapshot(tmp_path / "state.safetensors", state)
    found = read_snapshot(tmp_path / "state.safetensors")
    for name, tensor in state.items():
        assert torch.equal(found[name], tensor)


def test_a_byte_that_changed_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    write_snapshot(path, STATE)
    whole = path.read_bytes()
    missed = []
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            missed += [place] if not same(read_snapshot(path), STATE) else []
        except FolderError as error:
            assert "\n" not in str(error)  # noqa: PT017 - one of the two may happen
    assert not missed


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_a_file_that_was_cut_is_refused_by_name(tmp_path: Path, share: float) -> None:
    path = tmp_path / "state.safetensors"
    write_snapshot(path, STATE)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(FolderError, match=r"state\.safetensors is missing or damaged"):
        read_snapshot(path)


class Normed(nn.Module):
    """Batch norm and dropout: buffers that move, and draws."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, outputs)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


Make = Callable[[], Run]


def making(data: Data, settings: Sequence[Setting], engine: Engine, average: Callable[[], Any] | None = None) -> Make:
    def make() -> Run:
        model = Model("own", lambda shape, outputs: Normed(shape[0], outputs), data.input_shape, data.outputs)
        averaging = Averaging(average(), every=2, start=3) if average else None
        return Run(data, model, settings, steps=30, trials=[4, 7, 9], every=4, engine=engine, averaging=averaging)

    return make


def three(optimizer: str, **more: Any) -> list[Setting]:
    own = [{"lr": 0.02, "mixup": 0.2}, {"lr": 0.001, "l2": 0.1}, {"lr": 0.01, "weight_decay": 0.05, "dropout": 0.4}]
    return [Setting(optimizer, batch_size=16, seed=k, order=0, **more, **each) for k, each in enumerate(own)]


def course(run: Run, events: Sequence[int]) -> None:
    """Train to each of the steps; at step 10 the second trial is dropped."""
    for end in events:
        run.advance(end - run.step)
        if end == 10:
            run.evaluate()
            run.keep([0, 2])


def all_of(run: Run) -> dict[str, Any]:
    """Whatever a run came to."""
    states = {str(trial): [kept.epoch, kept.validation, kept.state] for trial, kept in run.best.items()}
    found = {"steps": run.history.steps(), "epochs": run.history.epochs(), "best": states}
    if run.averaging is not None:
        found["average"] = run.averaged_state(0)
    return {**found, "measured": [*run.measured.items()], "state": [run.population.state(k) for k in (0, 1)]}


@pytest.mark.parametrize("stop", [3, 12])
@pytest.mark.parametrize(
    ("optimizer", "more", "engine", "average"),
    [
        ("adamw", {}, "stacked", lambda: EMA(0.9)),
        ("adamw", {}, "one by one", lambda: LastK(2)),
        ("adamw", {}, "compiled", None),
        ("sgd", {"momentum": 0.9, "schedule": "one_cycle", "warmup": 0.0}, "stacked", None),
        ("radam", {"schedule": "plateau"}, "one by one", None),
        ("shampoo", {}, "stacked", None),
        ("muon", {}, "one by one", None),
    ],
)
def test_a_run_that_was_restored_ends_in_the_same_bits(
    three_classes: Data, tmp_path: Path, optimizer: str, more: Any, engine: Engine, average: Any, stop: int
) -> None:
    make = making(three_classes, three(optimizer, **more), engine, average)
    whole, before, after = make(), make(), make()
    course(whole, [10, 30])
    course(before, [10, stop] if stop > 10 else [stop])
    write_snapshot(tmp_path / "s", {"run": before.snapshot(), "history": before.history.snapshot()})
    saved = read_snapshot(tmp_path / "s")
    after.restore(saved["run"])
    after.history.restore(saved["history"])
    assert (after.step, after.trials) == (stop, before.trials)
    course(after, [30] if stop > 10 else [10, 30])
    assert same(all_of(after), all_of(whole))


def test_a_restored_run_does_not_measure_engines_again(three_classes: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (making(three_classes, three("adamw"), "auto")() for _ in range(2))
    first.advance(2)
    second.restore(first.snapshot())
    assert same(second.population.snapshot(), first.population.snapshot())  # what was found out about engines too
    monkeypatch.setattr(second.population, "_fastest", lambda *_: pytest.fail("measured again"))
    second.advance(2)
    assert second.population.choice == first.population.choice


def test_what_was_evaluated_before_the_stop_is_not_evaluated_twice(three_classes: Data) -> None:
    first, second = (making(three_classes, three("adamw"), "one by one")() for _ in range(2))
    first.advance(8)
    seen = first.evaluate()
    second.restore(first.snapshot())
    assert second.evaluate() == seen
    assert second.history.epochs()["step"] == []


def test_a_history_that_was_restored_is_written_alike_and_goes_on(tmp_path: Path, three_classes: Data) -> None:
    run = making(three_classes, three("adamw"), "one by one")()
    run.advance(9)
    told: list[dict[str, float]] = []
    history = History(told.append)
    write_snapshot(tmp_path / "s", run.history.snapshot())
    history.restore(read_snapshot(tmp_path / "s"))
    history.write(tmp_path / "one")
    run.history.write(tmp_path / "two")
    for name in ("steps.parquet", "epochs.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert told == []
    assert {type(value) for name in ("trial", "epoch", "step") for value in history.epochs()[name]} == {int}
    run.history, before = history, history.epochs()["step"]
    run.advance(3)
    assert history.steps(7)["step"] == list(range(1, 13))
    assert history.epochs()["step"] == [*before, 12, 12, 12]
