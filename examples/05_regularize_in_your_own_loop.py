"""Regularizers in a loop of your own: a penalty, a limit on weights, mixing, early stopping, and how sure the model is."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from ravine import optim
from ravine.regularization import (
    EarlyStopping,
    ElasticNet,
    MaxNorm,
    Mixup,
    mc_predict,
    replace_dropout,
    set_step,
    soft_targets,
)
from ravine.training import expected_calibration_error

images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
train, held_out = slice(0, 1400), slice(1400, None)

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))
replace_dropout(model, seed=0)  # masks that no global generator moves
optimizer = optim.AdamW(model.parameters(), lr=3e-3)
penalty, limit, mixup = ElasticNet(l1=1e-6, beta=10.0), MaxNorm(3.0), Mixup(alpha=0.2)
stopping = EarlyStopping(patience=5)

for step in range(1, 401):
    set_step(model, step)  # other masks every step
    rows = torch.randint(0, 1400, (64,))
    inputs, targets = mixup(x[rows], soft_targets(y[rows], 10), seed=0, step=step)
    loss = F.cross_entropy(model(inputs), targets) + penalty(model)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    limit.apply_(model)
    if step % 20 == 0:
        model.eval()
        with torch.no_grad():
            validation = F.cross_entropy(model(x[held_out]), y[held_out]).item()
        model.train()
        if stopping.update(validation, model):
            break

stopping.restore(model)
said = mc_predict(model, x[held_out], passes=30)
accuracy = (said.mean.argmax(-1) == y[held_out]).float().mean().item()
error = expected_calibration_error(said.mean, y[held_out])
print(f"stopped at step {step}: accuracy {accuracy:.3f}, ECE {error:.3f}")
print(f"least sure of example {said.mutual_information.argmax().item()}")
