"""Depth rates grow with depth, and a rate for layers that are not there is refused."""

from __future__ import annotations

import pytest
from torch import nn

from ravine.errors import SettingError
from ravine.regularization import DropConnect, Dropout, StochasticDepth, noises, replace_dropout, set_step


def network() -> nn.Module:
    return nn.Sequential(
        StochasticDepth(0.2), nn.Dropout(0.4), StochasticDepth(0.2), DropConnect(2, 2), StochasticDepth(0.2)
    )


def test_the_last_branch_has_the_rate_and_the_others_less() -> None:
    layers = dict(noises(replace_dropout(network(), seed=1, p=0.1, depth=0.6)))
    rates = {name: round(layer.p.item(), 6) for name, layer in layers.items()}
    assert rates == {"0": 0.2, "1": 0.1, "2": 0.4, "3": 0.5, "4": 0.6}


def test_every_layer_that_drops_has_a_seed_of_its_own_by_its_name() -> None:
    seeds = {name: layer.seed.item() for name, layer in noises(replace_dropout(network(), seed=1))}
    assert len(set(seeds.values())) == 5
    assert seeds == {name: layer.seed.item() for name, layer in noises(replace_dropout(network(), seed=1))}
    assert seeds != {name: layer.seed.item() for name, layer in noises(replace_dropout(network(), seed=2))}


def test_what_is_not_named_keeps_its_rate() -> None:
    rates = [round(layer.p.item(), 6) for _, layer in noises(replace_dropout(network(), seed=1))]
    assert rates == [0.2, 0.4, 0.2, 0.5, 0.2]


def test_a_depth_without_branches_is_refused_with_the_cure() -> None:
    with pytest.raises(SettingError, match=r"no StochasticDepth layer to take it: put ravine\.regularization"):
        replace_dropout(nn.Sequential(Dropout()), seed=1, depth=0.2)
    with pytest.raises(SettingError, match=r"depth is 1\.0"):
        replace_dropout(network(), seed=1, depth=1.0)


def test_every_layer_is_told_the_step() -> None:
    model = replace_dropout(network(), seed=1)
    set_step(model, 9)
    assert [layer.step.item() for _, layer in noises(model)] == [9] * 5
