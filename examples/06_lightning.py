"""Ravine in Lightning: a rate for the module before `fit`, a check of it, and a monitor while it trains."""

# ruff: noqa: E402 - the warnings of these libraries are quieted before they are imported
import logging
import warnings

warnings.filterwarnings("ignore")  # of Lightning's own imports

import torch
from lightning.pytorch import LightningModule, Trainer
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from ravine.integrations.lightning import RavineCallback, lr_range

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
x, y = load_digits(return_X_y=True)
rows = TensorDataset(torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y))
loader = DataLoader(rows, batch_size=32, shuffle=True)


class Digits(LightningModule):
    """A module as it is written for Lightning; nothing in it knows of Ravine."""

    def __init__(self, lr: float = 1e-3) -> None:
        super().__init__()
        self.lr = lr
        self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:  # noqa: ARG002
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


module, callback = Digits(), RavineCallback(check_seconds=3)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = Trainer(max_epochs=3, accelerator="cpu", callbacks=[callback], **quiet)

print(lr_range(trainer, module, loader, seconds=3, update=True))  # without update=True it only says
print(f"module.lr is {module.lr:.2g}")
trainer.fit(module, loader)
for verdict in callback.verdicts:
    print(verdict.status, verdict.step, verdict.summary)
print(callback.findings)
