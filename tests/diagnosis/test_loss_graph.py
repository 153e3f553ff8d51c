"""What is read off the graph of a loss."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.diagnosis.loss_graph import read_loss
from ravine.randomness import generator

Y = torch.arange(40) % 3
HOT = F.one_hot(Y, 3).float()
Loss = Callable[[Tensor], Tensor]


def logits() -> Tensor:
    draw = generator(0, "logits")
    layer, x = nn.Linear(5, 3), torch.randn(40, 5, generator=draw)
    out: Tensor = layer(x)
    return out


@pytest.mark.parametrize(
    ("loss", "twice"),
    [
        (lambda out: F.cross_entropy(out.softmax(1), Y), "softmax"),
        (lambda out: F.cross_entropy(out.softmax(1), Y, label_smoothing=0.1), "softmax"),
        (lambda out: F.cross_entropy(out.softmax(1), HOT), "softmax"),
        (lambda out: 0.5 * F.cross_entropy(out.softmax(1)[:, :3], Y) + 0.1 * out.square().mean(), "softmax"),
        (lambda out: F.binary_cross_entropy_with_logits(out.sigmoid(), HOT), "sigmoid"),
        (lambda out: F.nll_loss(out.softmax(1), Y), "softmax without a logarithm"),
        (lambda out: F.cross_entropy(out, Y), ""),
        (lambda out: F.cross_entropy(out.log_softmax(1), Y), ""),
        (lambda out: F.nll_loss(out.softmax(1).log(), Y), ""),
        (lambda out: F.binary_cross_entropy(out.sigmoid(), HOT), ""),
        (
            lambda out: F.cross_entropy(out.softmax(1) @ torch.eye(3), Y),
            "",
        ),  # attention: a softmax, and a product after it
    ],
)
def test_two_softmaxes_in_a_row_are_told_from_one(loss: Loss, twice: str) -> None:
    assert read_loss(loss(logits()), rows=40).twice == twice


@pytest.mark.parametrize(
    ("loss", "summed"),
    [
        (lambda out: F.cross_entropy(out, Y, reduction="sum"), True),
        (lambda out: F.cross_entropy(out, Y, reduction="none").sum(), True),
        (lambda out: F.cross_entropy(out, HOT, reduction="sum"), True),
        (lambda out: 0.5 * F.mse_loss(out, HOT, reduction="sum"), True),
        (lambda out: (out - HOT).square().sum(), True),
        (lambda out: F.cross_entropy(out, Y, reduction="sum") / 40, False),
        (lambda out: (out - HOT).square().sum(1).mean(), False),
        (lambda out: (out - HOT).abs().sum() / out.numel(), False),
        (lambda out: F.cross_entropy(out, Y) + 1e-3 * nn.Parameter(torch.ones(4, 4)).square().sum(), False),
        (lambda out: F.cross_entropy(out.sum(0, keepdim=True).expand(40, 3), Y), False),  # a sum in the model
    ],
)
def test_a_sum_over_the_batch_is_told_from_a_mean(loss: Loss, summed: bool) -> None:
    assert read_loss(loss(logits()), rows=40).summed is summed


def test_a_turned_sign_is_seen_and_that_of_a_likelihood_is_not() -> None:
    assert read_loss(-F.cross_entropy(logits(), Y)).negated
    assert not read_loss((-F.cross_entropy(logits(), Y)).neg()).negated
    assert not read_loss(-(logits().log_softmax(1) * HOT).sum(1).mean()).negated


def test_logits_given_to_nll_are_seen() -> None:
    assert read_loss(F.nll_loss(logits(), Y)).raw
    assert not read_loss(F.nll_loss(logits().log_softmax(1), Y)).raw


def test_a_compiled_model_is_known_by_its_output() -> None:
    out = logits()
    assert read_loss(F.cross_entropy(out, Y), probabilities=out.grad_fn).twice == "softmax"


def test_the_graph_can_still_be_used() -> None:
    loss = F.cross_entropy(logits().softmax(1), Y)
    read_loss(loss, rows=40)
    loss.backward()


@pytest.mark.parametrize(("divided", "summed"), [(1, True), (2, True), (8, False)])
def test_a_sum_that_is_divided_by_the_rows_of_a_small_batch_is_a_mean(divided: int, summed: bool) -> None:
    """As Hugging Face's losses are, where gradients are added up."""
    outputs = torch.zeros(8, 3, requires_grad=True)
    loss = F.cross_entropy(outputs, torch.zeros(8, dtype=torch.int64), reduction="sum") / torch.tensor(divided)
    assert read_loss(loss, rows=8).summed is summed
