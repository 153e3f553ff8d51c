"""Stateless randomness: the same draws for the same purpose, and nobody else's generator touched."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from ravine.randomness import derive, generator, permutation, seeded


def test_a_seed_and_a_purpose_always_give_the_same_number() -> None:
    assert derive(7, "order", 3) == derive(7, "order", 3)


def test_each_part_of_the_purpose_changes_the_number() -> None:
    seeds = [derive(7), derive(8), derive(7, "order"), derive(7, "order", 3), derive(7, "order", 4), derive(7, "mask")]
    assert len(set(seeds)) == len(seeds)


def test_seeds_fit_a_torch_generator_and_spread_over_63_bits() -> None:
    seeds = [derive(seed, "mask") for seed in range(2_000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len(set(seeds)) == len(seeds)
    # The mean of 2,000 uniform draws lies within 0.03 of the middle but for a chance of 4 in a million.
    assert abs(sum(seeds) / len(seeds) / 2**63 - 0.5) < 0.03


def test_another_process_derives_the_same_number() -> None:
    code = "from ravine.randomness import derive; print(derive(7, 'order', 3))"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert int(done.stdout) == derive(7, "order", 3)


def test_a_generator_always_stands_at_its_first_draw() -> None:
    first = torch.rand(3, generator=generator(1, "init"))
    assert torch.equal(first, torch.rand(3, generator=generator(1, "init")))
    assert not torch.equal(first, torch.rand(3, generator=generator(2, "init")))


@pytest.mark.parametrize("count", [0, 1, 100])
def test_a_permutation_holds_each_number_once(count: int) -> None:
    order = permutation(count, 3, "order", 0)
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(count))


def test_epochs_are_shuffled_apart() -> None:
    orders = [permutation(50, 3, "order", epoch) for epoch in (0, 1)]
    assert torch.equal(orders[0], permutation(50, 3, "order", 0))
    assert not torch.equal(orders[0], orders[1])


def test_draws_from_seeds_and_permutations_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    derive(1, "x"), permutation(10, 1, "x"), torch.rand(2, generator=generator(1, "x"))
    assert torch.equal(torch.get_rng_state(), before)


def test_inside_seeded_the_global_generator_is_the_purposes_and_afterwards_its_own() -> None:
    before = torch.get_rng_state()
    draws = []
    for noise in (1, 5):
        with torch.random.fork_rng():
            torch.rand(noise)  # whatever stood there before must not matter
            with seeded(7, "init"):
                draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_restores_the_generator_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="shape"), seeded(7, "init"):
        torch.rand(2).reshape(3)
    assert torch.equal(torch.get_rng_state(), before)
