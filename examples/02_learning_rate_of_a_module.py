"""Find the learning rate of a module you hold; the module is left bit for bit as it was."""

from sklearn.datasets import load_digits
from torch import nn

import ravine

x, y = load_digits(return_X_y=True)
module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
result = ravine.lr_range(module, (x, y), optimizers=["adamw"], budget="10s")
found = result.steps[0].evidence["optimizers"]["adamw"]
print(result.steps[0].summary)
print(f"search lr between {found['low']:.2g} and {found['high']:.2g}; largest safe {found['largest_safe']:.2g}")
