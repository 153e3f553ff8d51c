"""Mixup: the law of lambda, the identity of its loss, the coupling of trials, what it refuses.

Letters in shapes: B batch, C classes.
"""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import beta
from torch import Tensor
from torch.nn import functional as F

from ravine.errors import SettingError
from ravine.randomness import derive
from ravine.regularization import Mixup, soft_targets
from ravine.regularization.mixup import beta_draw

DRAWS = 3000


def batch(count: int = 8) -> tuple[Tensor, Tensor]:
    """Examples that tell who they are: x [B, 1] is one-hot in B, and so shows both partners and their shares."""
    return torch.eye(count, dtype=torch.float64), torch.arange(count) % 3


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_lambda_has_the_mean_and_the_variance_of_its_beta(alpha: float) -> None:
    draws = torch.tensor([beta_draw(alpha, 3, step) for step in range(DRAWS)], dtype=torch.float64)
    variance = 1 / (4 * (2 * alpha + 1))
    kurtosis = 3 - 6 / (2 * alpha + 3)  # of Beta(alpha, alpha)
    assert abs(draws.mean().item() - 0.5) < 4 * math.sqrt(variance / DRAWS)
    assert abs(draws.var().item() - variance) < 4 * variance * math.sqrt((kurtosis - 1) / DRAWS)


def test_trials_of_other_strengths_draw_the_same_quantile() -> None:
    weak, strong = beta_draw(0.2, 5, 9), beta_draw(2.0, 5, 9)
    assert weak != strong
    assert beta.cdf(weak, 0.2, 0.2) == pytest.approx(beta.cdf(strong, 2.0, 2.0))


def test_every_example_is_mixed_with_one_partner_by_one_lambda() -> None:
    x, y = batch()
    mixed, _ = Mixup(1.0)(x, soft_targets(y, 3), seed=1, step=4)
    share = beta_draw(1.0, derive(1, "mixup"), 4)
    partners = (mixed - share * x).argmax(1)
    assert sorted(partners.tolist()) == list(range(8))
    torch.testing.assert_close(mixed, share * x + (1 - share) * x[partners])


def test_each_step_has_partners_of_its_own() -> None:
    x, y = batch(12)
    partners = set()
    for step in range(5):
        share = beta_draw(1.0, derive(1, "mixup"), step)
        mixed, _ = Mixup(1.0)(x, soft_targets(y, 3), seed=1, step=step)
        partners.add(tuple((mixed - share * x).argmax(1).tolist()))
    assert len(partners) == 5


def test_the_loss_is_the_mean_of_both_targets_losses() -> None:
    x, y = batch()
    outputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(2))
    mixed, soft = Mixup(1.0)(x, soft_targets(y, 3), seed=2, step=7)
    share = mixed.diag().min().item()  # of those that met another; one that met itself has 1
    partners = (mixed - share * x).argmax(1)
    assert 0.01 < share < 0.99
    wanted = share * F.cross_entropy(outputs, y) + (1 - share) * F.cross_entropy(outputs, y[partners])
    torch.testing.assert_close(F.cross_entropy(outputs, soft), wanted)


def test_values_of_a_regression_are_mixed_like_the_examples() -> None:
    x = torch.randn(16, 5, generator=torch.Generator().manual_seed(3))
    mixed, y = Mixup(0.5)(x, x @ torch.ones(5), seed=1, step=1)
    torch.testing.assert_close(y, mixed @ torch.ones(5))
    assert not torch.allclose(mixed, x)


def test_inputs_are_untouched_and_each_step_mixes_anew() -> None:
    x, y = batch()[0], torch.ones(8)
    kept = x.clone()
    first, second = (Mixup(1.0)(x, y, seed=1, step=step)[0] for step in (1, 2))
    assert torch.equal(x, kept)
    assert torch.equal(first, Mixup(1.0)(x, y, seed=1, step=1)[0])
    assert not torch.equal(first, second)
    assert not torch.equal(first, Mixup(1.0)(x, y, seed=2, step=1)[0])


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan, math.inf, True, "0.2", None])
def test_an_alpha_that_is_no_number_above_0_is_refused(alpha: float) -> None:
    with pytest.raises(SettingError, match=r"mixup is .*above 0"):
        Mixup(alpha)


def test_class_indices_and_a_batch_of_one_are_refused() -> None:
    x, y = batch()
    with pytest.raises(SettingError, match=r"mixup .*soft_targets"):
        Mixup(1.0)(x, y, seed=1, step=1)
    with pytest.raises(SettingError, match=r"mixup .*2 or more"):
        Mixup(1.0)(x[:1], soft_targets(y[:1], 3), seed=1, step=1)
