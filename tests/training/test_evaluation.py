"""Evaluation of a trained module, and the confusion matrix against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import nn

from ravine.data import Data, MemorySplit
from ravine.training import confusion, evaluate, measure, outputs_of


def test_the_confusion_matrix_is_scikit_learns() -> None:
    outputs = torch.randn(200, 5, generator=torch.Generator().manual_seed(1))
    y = torch.arange(200) % 4  # the last class never occurs
    assert confusion(outputs, y) == confusion_matrix(y, outputs.argmax(1), labels=range(5)).tolist()


@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_outputs_are_the_same_in_any_chunks_and_in_evaluation_mode(chunk: int) -> None:
    module, x = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)), torch.randn(20, 3)
    out = outputs_of(module.train(), MemorySplit(x, torch.zeros(20)), chunk=chunk)
    torch.testing.assert_close(out, module[0](x).detach())
    assert not out.requires_grad


@pytest.mark.parametrize("kind", ["three_classes", "numbers"])
def test_metrics_of_a_module_are_those_of_its_outputs(kind: str, request: pytest.FixtureRequest) -> None:
    data: Data = request.getfixturevalue(kind)
    module = nn.Linear(data.input_shape[0], data.outputs)
    found = evaluate(module, data.test, data.task, scale=10.0)
    wanted = measure(data.task, outputs_of(module, data.test).unsqueeze(0), data.test.y, scale=10.0)[0]
    assert found == wanted
