"""Monte-Carlo dropout against passes made one by one, and what must not change meanwhile.

Letters in shapes: T passes, N examples, C classes.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from ravine.errors import SettingError
from ravine.randomness import derive
from ravine.regularization import Dropout, StochasticDepth, mc_predict, noises, replace_dropout


def network(*, norm: bool = True) -> nn.Module:
    torch.manual_seed(0)
    middle = [nn.BatchNorm1d(16)] if norm else []
    model = nn.Sequential(nn.Linear(5, 16), *middle, nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, 3))
    for _ in range(20):
        model(torch.randn(32, 5))  # statistics of its own
    return model


def by_hand(model: nn.Module, x: Tensor, passes: int, seed: int) -> Tensor:
    """Outputs of each pass, [T, N, C], with the masks that the first part has."""
    sampler = replace_dropout(copy.deepcopy(model), seed=derive(seed, "monte carlo")).eval()
    layers = [layer for _, layer in noises(sampler)]
    found = []
    for t in range(passes):
        for layer in layers:
            layer.train()
            layer.step.fill_(t)
        found.append(sampler(x))
    return torch.stack(found).detach()


def test_it_is_what_passes_one_by_one_say() -> None:
    model, x = network(), torch.randn(20, 5)
    found = mc_predict(model, x, 12, seed=3)
    each = torch.softmax(by_hand(model, x, 12, 3), -1)
    torch.testing.assert_close(found.mean, each.mean(0))
    torch.testing.assert_close(found.spread, each.std(0))
    entropy = -(each.mean(0) * each.mean(0).log()).sum(-1)
    torch.testing.assert_close(found.entropy, entropy)
    expected = entropy + (each * each.log()).sum(-1).mean(0)
    torch.testing.assert_close(found.mutual_information, expected, rtol=1e-4, atol=1e-6)
    assert bool((found.mutual_information > 0).all())


def test_a_model_that_vmap_refuses_is_sampled_with_the_same_masks() -> None:
    class Branching(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if float(super().forward(x).sum()) < 1e9 else -x)

    model = network()
    branching, x = Branching(*model), torch.randn(9, 5)
    torch.testing.assert_close(mc_predict(branching, x, 6, seed=3).mean, mc_predict(model, x, 6, seed=3).mean)


def test_the_model_and_the_global_generator_are_left_as_they_were() -> None:
    model = network().train()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    mc_predict(model, torch.randn(8, 5, generator=torch.Generator().manual_seed(1)), 5)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())
    assert isinstance(model[3], nn.Dropout)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_batch_norm_stays_in_evaluation() -> None:
    model, x = network(), torch.randn(6, 5)
    alone = torch.cat(
        [mc_predict(nn.Sequential(*model[:3], nn.Dropout(1e-3), model[4]), one[None], 2).mean for one in x]
    )
    torch.testing.assert_close(alone, torch.softmax(model.eval()(x), -1), rtol=1e-2, atol=1e-2)


def test_a_regression_has_a_mean_and_a_spread_and_no_entropy() -> None:
    model = nn.Sequential(nn.Linear(4, 8), Dropout(0.3), nn.Linear(8, 1))
    found = mc_predict(model, torch.randn(7, 4), 10, task="regression")
    assert found.mean.shape == found.spread.shape == (7, 1)
    assert (found.entropy, found.mutual_information) == (None, None)
    assert bool((found.spread > 0).all())


def test_chunks_have_masks_of_their_own() -> None:
    model = nn.Sequential(nn.Linear(4, 64), Dropout(0.5), nn.Linear(64, 2))
    same = torch.randn(1, 4).expand(4096, 4)
    found = mc_predict(model, same, 2, task="regression")
    assert len(found.mean.unique(dim=0)) > 4000


def test_a_batch_wide_draw_differs_between_passes() -> None:
    model = nn.Sequential(nn.Linear(3, 3), StochasticDepth(0.5, "batch"))
    assert bool((mc_predict(model, torch.randn(4, 3), 30, task="regression").spread > 0).all())


@pytest.mark.parametrize(
    ("model", "passes", "said"),
    [
        (network(), 1, "passes is 1; a spread needs.*2 or more"),
        (nn.Linear(5, 3), 10, "nothing drops in this Linear: it has no dropout layer"),
        (nn.Sequential(nn.Linear(5, 3), nn.Dropout(0.0)), 10, "all its dropout layers have rate 0"),
    ],
)
def test_what_cannot_disagree_is_refused(model: nn.Module, passes: int, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        mc_predict(model, torch.randn(4, 5), passes)
