"""Three lines for a loop of your own: a rate before it, a monitor in it, its findings after it."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import ravine
from ravine.diagnosis import Monitor

images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(1))  # a softmax too many

print(ravine.lr_range(model, (x, y), optimizers=["sgd"], budget="3s").steps[0].summary)  # 1: the model stays as it is
optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
monitor = Monitor(model, optimizer)  # 2: before the loop
for step in range(100):
    rows = torch.arange(step * 32, (step + 1) * 32) % len(x)
    loss = F.cross_entropy(model(x[rows]), y[rows])
    monitor.watch(loss)  # 3: before its backward
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(monitor.findings())
