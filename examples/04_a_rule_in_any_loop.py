"""Ravine's optimizers stand in for torch's, with the same arguments."""

import torch
from torch import nn

from ravine import optim

torch.manual_seed(0)
x = torch.randn(256, 10)
y = x @ torch.randn(10, 1)
model = nn.Linear(10, 1)
optimizer = optim.AdamW(model.parameters(), lr=0.05)
for _ in range(200):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.5f}")
