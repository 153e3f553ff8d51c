"""Ravine in Hugging Face's Trainer: a rate before `train`, a check, and a monitor while it trains. Nothing is fetched."""

# ruff: noqa: E402 - the warnings of these libraries are quieted before they are imported
import os
import tempfile
import warnings

warnings.filterwarnings("ignore")  # of the library's own imports
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from sklearn.datasets import load_digits
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

from ravine.integrations.transformers import RavineCallback, lr_range

x, y = load_digits(return_X_y=True)
images = torch.tensor(x / 8 - 1, dtype=torch.float32).reshape(-1, 1, 8, 8)
rows = [{"pixel_values": image, "labels": int(label)} for image, label in zip(images, y, strict=True)]

torch.manual_seed(0)
small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
model = ViTForImageClassification(ViTConfig(image_size=8, patch_size=4, num_channels=1, num_labels=10, **small))
args = TrainingArguments(
    tempfile.mkdtemp(),
    max_steps=40,
    per_device_train_batch_size=16,
    use_cpu=True,
    report_to=[],
    save_strategy="no",
    logging_strategy="no",
    disable_tqdm=True,
    dataloader_pin_memory=False,
)
callback = RavineCallback(check_seconds=6)
trainer = Trainer(model, args, train_dataset=rows, callbacks=[callback])

print(lr_range(trainer, seconds=3, update=True))  # without update=True it only says
print(f"learning_rate is {args.learning_rate:.2g}")
trainer.train()
for verdict in callback.verdicts:
    print(verdict.status, verdict.step, verdict.summary)
print(callback.findings)
