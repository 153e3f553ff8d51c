"""Ravine beside Hugging Face's Trainer, on models made from a configuration: nothing is fetched."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

with warnings.catch_warnings():  # of the library's own imports
    warnings.simplefilter("ignore")
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
    from transformers.utils import logging as their_logging

    from ravine.integrations.transformers import RavineCallback, lr_range

from ravine.errors import SettingError
from ravine.randomness import generator

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore:.*pin_memory.*")]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = their_logging.get_verbosity()
    their_logging.set_verbosity_error()
    yield
    their_logging.set_verbosity(before)


def sentences(count: int = 160) -> list[dict[str, Any]]:
    """Six words each, of which the first says the class."""
    draw = generator(0, "words")
    words = torch.randint(4, 20, (count, 6), generator=draw)
    words[:, 0] = torch.randint(4, (count,), generator=draw)
    return [{"input_ids": row, "labels": int(row[0])} for row in words]


def bert() -> nn.Module:
    config = BertConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=8,
        num_labels=4,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BertForSequenceClassification(config)


class Plain(nn.Module):
    """What the Trainer takes besides its own: any module whose output holds the loss."""

    def __init__(self, *end: nn.Module) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Embedding(20, 8), nn.Flatten(), nn.Linear(48, 4), *end)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.net(input_ids)
        return {"logits": logits} if labels is None else {"loss": F.cross_entropy(logits, labels), "logits": logits}


def trainer(
    tmp_path: Path, model: nn.Module, *callbacks: Any, kind: type[Trainer] = Trainer, **options: Any
) -> Trainer:
    given: dict[str, Any] = {
        "max_steps": 30,
        "per_device_train_batch_size": 8,
        "learning_rate": 5e-3,
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    args = TrainingArguments(str(tmp_path), **{**given, **options})
    return kind(model, args, train_dataset=sentences(), callbacks=list(callbacks))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (bert, {"warmup_steps": 5}),
        (Plain, {"gradient_accumulation_steps": 3}),
        (Plain, {"bf16": True, "max_grad_norm": 0.0}),
    ],
    ids=["bert", "accumulated", "bfloat16"],
)
def test_a_healthy_training_raises_no_alarm_however_it_steps(
    tmp_path: Path, make: Any, options: dict[str, Any]
) -> None:
    callback = RavineCallback(check_seconds=60, every=5)
    run = trainer(tmp_path, make(), callback, **options)
    run.train()
    assert [verdict.status for verdict in callback.verdicts] == ["pass", "pass"]
    assert callback.verdicts[0].evidence["expected"] == pytest.approx(1.3863, abs=1e-3)
    assert not any(finding.alarm for finding in callback.findings)
    assert callback.notes == []
    assert run.state.global_step == 30


def test_training_ends_in_the_same_weights_with_the_callback_as_without(tmp_path: Path) -> None:
    ends = []
    for callbacks in ([], [RavineCallback(check_seconds=1, every=5)]):
        model = bert()
        trainer(tmp_path, model, *callbacks, seed=3).train()
        ends.append(copy.deepcopy(model.state_dict()))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_two_softmaxes_are_told_and_training_is_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ravine")
    callback = RavineCallback(check_seconds=1, stop=True)
    run = trainer(tmp_path, Plain(nn.Softmax(1)), callback)
    run.train()
    assert callback.findings[0].fault == "softmax-before-loss"
    assert "Take the softmax off" in caplog.text
    assert run.state.global_step == 1


def test_the_monitor_hears_the_loss_of_the_models_forward(tmp_path: Path) -> None:
    callback = RavineCallback(check_seconds=0, every=5)
    trainer(tmp_path, Plain(nn.Softmax(1)), callback, gradient_accumulation_steps=2).train()
    assert [finding.fault for finding in callback.findings if finding.alarm] == ["softmax-before-loss"]


def test_a_loss_of_the_trainers_own_is_heard_where_the_trainer_is_known(tmp_path: Path) -> None:
    class Negated(Trainer):
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **more: Any) -> Any:
            loss = -super().compute_loss(model, inputs, **more)  # type: ignore[operator]
            return (loss, {}) if return_outputs else loss

    run = trainer(tmp_path, Plain(), kind=Negated)
    callback = RavineCallback(run, check_seconds=0, every=5)
    run.add_callback(callback)
    run.train()
    assert callback.findings[0].fault == "gradient-ascent"
    assert "compute_loss" not in vars(run)


def test_rates_are_suggested_and_nothing_moves(tmp_path: Path) -> None:
    model = Plain().eval()
    run = trainer(tmp_path, model, gradient_accumulation_steps=2)
    before, draws = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    found = lr_range(run, grid=(1, 1, 30))
    assert found.lr is not None
    assert 0.005 < found.lr < 2
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(draws, torch.get_rng_state())
    assert (run.optimizer, model.training, run.args.learning_rate) == (None, False, 5e-3)
    lr_range(run, grid=(1, 1, 30), update=True)
    assert run.args.learning_rate == found.lr


def test_a_rate_cannot_be_written_into_an_optimizer_that_is_there_already(tmp_path: Path) -> None:
    run = trainer(tmp_path, Plain())
    run.create_optimizer()
    with pytest.raises(SettingError, match="has its optimizer already"):
        lr_range(run, update=True)
