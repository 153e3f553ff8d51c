"""Ravine beside Lightning's Trainer: nothing of a healthy training confuses it, and what is wrong is found."""

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
from torch.utils.data import DataLoader, TensorDataset

with warnings.catch_warnings():  # of Lightning's own imports
    warnings.simplefilter("ignore")
    from lightning.pytorch import LightningDataModule, LightningModule, Trainer

    from ravine.integrations.lightning import RavineCallback, lr_range

from ravine.errors import ModelError, SettingError
from ravine.randomness import generator

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # torch's word about Lightning's own use of it
    pytest.mark.filterwarnings("ignore:The '.*dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training"),
]

CENTERS = 3 * torch.randn(4, 8, generator=generator(0, "centers"))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    log = logging.getLogger("lightning.pytorch")
    before = log.level
    log.setLevel(logging.ERROR)
    yield
    log.setLevel(before)


def loader(shuffle: bool = True, **more: Any) -> DataLoader[Any]:
    draw = generator(1, "rows")
    y = torch.randint(4, (320,), generator=draw)
    return DataLoader(TensorDataset(CENTERS[y] + torch.randn(320, 8, generator=draw), y), 32, shuffle=shuffle, **more)


class Net(LightningModule):
    """A classifier as people write them."""

    def __init__(self, lr: float = 0.01, *end: nn.Module) -> None:
        super().__init__()
        self.save_hyperparameters("lr")
        self.lr = lr
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 4), *end)

    def loss(self, batch: Any) -> Tensor:
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def training_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ARG002 - Lightning's signature
        loss = self.loss(batch)
        self.log("loss", loss)
        assert self.trainer.max_epochs is not None  # a copy can look at the trainer too
        return {"loss": loss}

    def validation_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        self.log("validation", self.loss(batch))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)}


class Adversaries(LightningModule):
    """Two networks, two optimizers, steps of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.makes, self.judges = nn.Linear(8, 8), nn.Linear(8, 1)

    def training_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        first, second = self.optimizers()  # type: ignore[misc]
        x = batch[0]
        for optimizer, sign in ((first, -1), (second, 1)):
            self.toggle_optimizer(optimizer)
            loss = F.softplus(sign * self.judges(self.makes(x))).mean() + F.softplus(-sign * self.judges(x)).mean() * (
                sign > 0
            )
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.untoggle_optimizer(optimizer)

    def configure_optimizers(self) -> Any:
        return [torch.optim.Adam(part.parameters(), lr=1e-3) for part in (self.makes, self.judges)]


def trainer(tmp_path: Path, *callbacks: Any, **options: Any) -> Trainer:
    given: dict[str, Any] = {
        "max_epochs": 3,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": tmp_path,
        "callbacks": list(callbacks),
    }
    return Trainer(**{**given, **options})


def fitted(
    tmp_path: Path, module: LightningModule, callback: RavineCallback | None = None, **options: Any
) -> RavineCallback:
    callback = callback or RavineCallback(check_seconds=0, every=5)
    trainer(tmp_path, callback, **options).fit(module, loader())
    return callback


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accumulate_grad_batches": 4},
        {"gradient_clip_val": 0.5},
        {"gradient_clip_val": 0.5, "gradient_clip_algorithm": "value", "precision": "bf16-mixed"},
    ],
)
def test_a_healthy_training_raises_no_alarm_however_it_steps(tmp_path: Path, options: dict[str, Any]) -> None:
    module, callback = Net(), RavineCallback(check_seconds=60, every=5)
    trainer(tmp_path, callback, **options).fit(module, loader(), loader(shuffle=False))  # its sanity check runs before
    assert [verdict.status for verdict in callback.verdicts] == ["pass", "pass"]
    assert callback.findings == []
    assert callback.notes == []
    assert not any(part._forward_hooks for part in module.modules())


def test_training_ends_in_the_same_weights_with_the_callback_as_without(tmp_path: Path) -> None:
    ends = []
    for callbacks in ([], [RavineCallback(check_seconds=1, every=5)]):
        torch.manual_seed(5)
        module = Net()
        trainer(tmp_path, *callbacks).fit(module, loader())
        ends.append((copy.deepcopy(module.state_dict()), torch.get_rng_state()))
    (one, draws), (two, others) = ends
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(draws, others)


def test_two_softmaxes_are_told_before_training_and_training_does_not_begin(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module, callback = Net(0.01, nn.Softmax(1)), RavineCallback(check_seconds=1, stop=True)
    run = trainer(tmp_path, callback)
    run.fit(module, loader())
    assert [finding.fault for finding in callback.findings][:1] == ["softmax-before-loss"]
    assert "Take the softmax off" in caplog.text
    assert run.global_step == 0


def test_a_rate_that_destroys_the_model_stops_the_training(tmp_path: Path) -> None:
    class Plain(Net):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    callback = RavineCallback(check_seconds=0, every=5, stop=True)
    run = trainer(tmp_path, callback, max_epochs=50)
    run.fit(Plain(lr=1e8), loader())
    assert callback.findings[0].fault == "lr-too-high"
    assert run.global_step < 100


def test_a_part_that_no_optimizer_holds_is_named(tmp_path: Path) -> None:
    class Half(Net):
        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.net[0].parameters(), lr=self.lr)

    found = fitted(tmp_path, Half()).findings
    assert [(finding.fault, finding.where) for finding in found] == [
        ("stale-or-foreign-parameters", "net.3.weight, net.3.bias")
    ]


def test_a_module_left_in_evaluation_mode_is_found_though_its_own_forward_is_never_called(tmp_path: Path) -> None:
    found = fitted(tmp_path, Net().eval()).findings
    assert [finding.fault for finding in found] == ["train-eval-mismatch"]


def test_several_optimizers_and_manual_steps_are_watched_and_not_rehearsed(tmp_path: Path) -> None:
    callback = fitted(tmp_path, Adversaries(), RavineCallback(check_seconds=5, every=5))
    assert not any(finding.alarm for finding in callback.findings)
    assert callback.verdicts == []
    assert "manual optimization" in callback.notes[0]


def test_a_training_that_is_resumed_is_not_checked_again(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.fit(Net(), loader())
    run.save_checkpoint(tmp_path / "half.ckpt")
    callback = RavineCallback(every=5)
    trainer(tmp_path, callback, max_epochs=6).fit(Net(), loader(), ckpt_path=tmp_path / "half.ckpt")
    assert "resumed" in callback.notes[0]
    assert callback.findings == []


def test_what_raises_on_a_copy_becomes_a_note_and_training_goes_on(tmp_path: Path) -> None:
    class Counting(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.trainer.loggers is not run.loggers:
                raise RuntimeError("not on a copy")
            return super().training_step(batch, batch_idx)

    callback = RavineCallback(check_seconds=1, every=5)
    run = trainer(tmp_path, callback)
    run.fit(Counting(), loader())
    assert run.global_step == 30
    assert "not on a copy" in callback.notes[0]


def test_rates_are_suggested_and_nothing_moves(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(2)
    module, run, rows = Net(), trainer(tmp_path), loader(generator=draw)
    before = copy.deepcopy(module.state_dict()), torch.get_rng_state(), draw.get_state(), module.lr
    found = lr_range(run, module, rows, grid=(1, 1, 30))
    assert found.lr is not None
    assert 0.005 < found.lr < 2
    assert str(found).startswith("With adam the loss drops by")
    assert all(torch.equal(before[0][name], value) for name, value in module.state_dict().items())
    assert torch.equal(before[1], torch.get_rng_state())
    assert torch.equal(before[2], draw.get_state())
    assert (module.lr, run.global_step) == (before[3], 0)
    run.fit(module, rows)  # the trainer is as good as new
    assert run.global_step == 30


def test_a_suggestion_is_written_only_when_asked_for(tmp_path: Path) -> None:
    class Rows(LightningDataModule):
        def train_dataloader(self) -> DataLoader[Any]:
            return loader()

    module = Net(lr=1e-6)
    found = lr_range(trainer(tmp_path), module, datamodule=Rows(), grid=(1, 1, 30), update=True)
    assert module.lr == found.lr
    with pytest.raises(SettingError, match=r"self\.lr = lr"):
        lr_range(trainer(tmp_path), Adversaries(), loader(), update=True)
    with pytest.raises(ModelError, match="manual optimization"):
        lr_range(trainer(tmp_path), Adversaries(), loader())


def test_the_package_by_its_other_name_does_as_well() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pytorch_lightning as older

    class Older(older.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.lr = Net().net, 0.01

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ARG002
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    callback, options = RavineCallback(check_seconds=60, every=5), {"enable_progress_bar": False, "logger": False}
    run = older.Trainer(
        max_epochs=1,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[callback],
        **options,
    )
    found = lr_range(run, Older(), loader(), grid=(1, 1, 30))
    assert found.lr is not None
    run.fit(Older(), loader())
    assert [verdict.status for verdict in callback.verdicts] == ["pass", "pass"]
    assert callback.findings == []
