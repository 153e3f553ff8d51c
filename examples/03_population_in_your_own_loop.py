"""Train eight learning rates at once in a loop of your own."""

import torch
from torch import nn
from torch.nn import functional as F

from ravine.engines import Population
from ravine.rules import AdamW

rates = [10 ** (-4 + k / 3) for k in range(8)]
torch.manual_seed(0)
x = torch.randn(512, 20)
y = (x[:, :4].prod(1) > 0).long()
modules = [nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 2)) for _ in rates]
population = Population(modules, [AdamW(weight_decay=0.01)] * len(rates), F.cross_entropy)
for step in range(200):
    rows = torch.arange(step * 64, (step + 1) * 64) % len(x)
    seen = population.step(x[rows], y[rows], lr=rates)
for rate, loss in zip(rates, seen.loss.tolist(), strict=True):
    print(f"lr {rate:.5f}: loss {loss:.4f}")
print(population.engine, "-", population.choice.reason)
