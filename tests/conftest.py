"""What every test shares: one thread, two tiny data sets, and one real run of the recipe.

One thread, because other programs use the same cores and two threads that wait for each other are slower than one: OpenBLAS,
under numpy and scipy, is ten times as slow. Processes that tests begin take it from the environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import threadpoolctl
import torch

import ravine
from ravine.data import Data, from_arrays


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patched, threadpoolctl.threadpool_limits(1, user_api="blas"):
        patched.setenv("OMP_NUM_THREADS", "1")  # OpenBLAS reads it too
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def own_list_of_names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests name by hand is not written into the list of whoever runs them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def three_classes() -> Data:
    """200 examples of 5 features in 3 classes, which a small network can tell apart."""
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(200) % 3
    x = torch.randn(200, 5, generator=generator) + 1.5 * torch.nn.functional.one_hot(y, 5)
    return from_arrays(x, y.numpy(), task="classification")


@pytest.fixture(scope="session")
def numbers() -> Data:
    """150 examples of 4 features with a number to predict, of mean 40 and standard deviation near 10."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(150, 4, generator=generator)
    y = 40 + 10 * torch.tanh(x[:, 0] - x[:, 1]) + torch.randn(150, generator=generator)
    return from_arrays(x, y.numpy(), task="regression")


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real `ravine.tune` on digits, small and short; not to be changed."""
    out = tmp_path_factory.mktemp("tuned") / "digits"
    result = ravine.tune("mlp", "digits", budget="15s", settings={"hidden": [32]}, seed=1, out=out)
    assert result.best is not None, [verdict.summary for verdict in result.steps]
    return out
