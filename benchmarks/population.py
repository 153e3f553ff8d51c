"""Claim: a population trains its trials many times faster than a plain PyTorch loop trains them one after another.

Trial-steps per second of `Population.step`, every trial with its own rate and Adam state, over batches that all
trials share. Beside it, turn and turn about in one process: the same trials one after another in the loop a person
writes, with `torch.optim.Adam` as it comes and with `fused=True` (up to four of the K, on one thread or on all, whichever is
faster); and, where jax and optax are installed,
`jax.vmap` of the step under `lax.scan`. All four take their batches out of the same data in memory, start from the
same weights and are checked to reach the same loss. Compiling, and measuring which engine to take, is not counted.

Memory is that of fresh processes: what a population of K adds to a process's peak, choosing its engine included, against
what K models with their optimizers add that are trained side by side in a plain loop (one model's activations at a time).

    python benchmarks/population.py [--quick] [--rounds 7] [--speed | --memory] [--only CNN]

Letters in shapes: K trials, B batch, N examples.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from _machine import machine
from ravine.engines import Population
from ravine.engines.allocator import keep_freed_memory
from ravine.engines.threads import threads
from ravine.models import Model, cnn, mlp
from ravine.randomness import permutation
from ravine.rules import Adam

try:
    import jax
    import optax
    from jax import numpy as jnp
except ImportError:  # side (c) is left out
    jax = None

N = 2_048


class Network(NamedTuple):
    """One line of the table: a model, its batch, and what is to be reached against the plain loop."""

    model: Model
    batch: int
    wanted: float


def _mlp(inputs: Sequence[int], *hidden: int) -> Model:
    return Model("mlp", mlp, inputs, 10, {"hidden": list(hidden)})


NETWORKS = {
    "MLP 64-32-32-10": Network(_mlp((64,), 32, 32), 32, 20.0),
    "MLP 784-64-64-10": Network(_mlp((784,), 64, 64), 32, 6.0),
    "MLP 784-256-256-10": Network(_mlp((784,), 256, 256), 128, 1.5),
    "CNN 28x28, 8 and 16 channels": Network(
        Model("cnn", cnn, (1, 28, 28), 10, {"channels": [8, 16], "hidden": 64}), 64, 1.0
    ),
}


class Side(Protocol):
    """One way to train K trials."""

    trials: int  # that one call of `run` moves

    def run(self, steps: int) -> Tensor:
        """Take so many steps, going on where the last call ended; losses of the last step, [trials]."""
        ...


class Feed:
    """The batches, the same for every side: rows of one shuffled data set."""

    def __init__(self, network: Network) -> None:
        make = torch.Generator().manual_seed(0)
        self.x = torch.rand(N, *network.model.input_shape, generator=make)
        self.y = torch.randint(0, 10, (N,), generator=make)
        self.index = permutation(N, 0, "order").view(-1, network.batch)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        rows = self.index[step % len(self.index)]
        return self.x[rows], self.y[rows]


def rates(trials: int) -> list[float]:
    return [1e-3 * (0.5 + k / trials) for k in range(trials)]


class Ravine:
    """`Population.step`, as `ravine.training.Run` calls it."""

    def __init__(self, network: Network, trials: int) -> None:
        keep_freed_memory()
        modules = [network.model.build(k) for k in range(trials)]
        self.trials, self.feed, self.lr, self.step = trials, Feed(network), rates(trials), 0
        self.population = Population(modules, [Adam()] * trials, F.cross_entropy)

    def run(self, steps: int) -> Tensor:
        for _ in range(steps):
            with threads(self.population.choice.threads):
                losses = self.population.step(*self.feed.at(self.step), self.lr).loss
            self.step += 1
        return losses


class Plain:
    """The loop a person writes, one trial after another."""

    def __init__(self, network: Network, trials: int, *, sample: int, **options: Any) -> None:
        self.trials, self.feed, self.step, self.threads = sample, Feed(network), 0, torch.get_num_threads()
        self.models = [network.model.build(k) for k in range(sample)]
        self.optimizers = [
            torch.optim.Adam(model.parameters(), lr=lr, **options)
            for model, lr in zip(self.models, rates(trials), strict=False)
        ]

    def settle(self) -> None:
        """Take the number of threads that is faster here, as a population does: two that are kept waiting are slow."""
        counts = {1, self.threads}
        taken = {}
        for self.threads in counts:
            self.run(2)
            taken[self.threads] = min(_timed(self, 4) for _ in range(3))
        self.threads = min(taken, key=taken.__getitem__)

    def run(self, steps: int) -> Tensor:
        with threads(self.threads):
            return self._run(steps)

    def _run(self, steps: int) -> Tensor:
        losses = []
        for model, optimizer in zip(self.models, self.optimizers, strict=True):
            model.train()
            for step in range(self.step, self.step + steps):
                x, y = self.feed.at(step)
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
            losses.append(loss.detach())
        self.step += steps
        return torch.stack(losses)


class Jax:
    """`vmap` of one trial's step under `lax.scan`, Adam by optax, compiled as a whole."""

    CHUNK = 16  # steps of one scan

    def __init__(self, network: Network, trials: int) -> None:
        self.trials, self.step, self.chunk = trials, 0, 1 if network.model.name == "cnn" else self.CHUNK
        models = [network.model.build(k) for k in range(trials)]
        weights = [
            jnp.stack([jnp.asarray(dict(m.named_parameters())[name].detach().numpy()) for m in models])
            for name, _ in models[0].named_parameters()
        ]
        params = list(zip(weights[::2], weights[1::2], strict=True))  # of each layer its weight and bias
        feed = Feed(network)
        x, y, self.index = (jnp.asarray(t.numpy()) for t in (feed.x, feed.y, feed.index))
        adam = optax.scale_by_adam()

        def loss_of(params: Any, x: Any, y: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(_forward(params, x), y).mean()

        def one(params: Any, state: Any, lr: Any, x: Any, y: Any) -> Any:
            loss, grads = jax.value_and_grad(loss_of)(params, x, y)
            moves, state = adam.update(grads, state)
            return jax.tree.map(lambda p, m: p - lr * m, params, moves), state, loss

        def step(carry: Any, rows: Any) -> Any:
            *carry, losses = jax.vmap(one, in_axes=(0, 0, 0, None, None))(*carry, lr, x[rows], y[rows])
            return tuple(carry), losses

        lr = jnp.asarray(rates(trials), dtype=jnp.float32)
        self._scan = jax.jit(lambda carry, index: jax.lax.scan(step, carry, index), donate_argnums=0)
        self._carry = (params, jax.vmap(adam.init)(params))

    def run(self, steps: int) -> Tensor:
        for start in range(self.step, self.step + steps, self.chunk):
            rows = jnp.arange(start, start + self.chunk) % len(self.index)
            self._carry, losses = self._scan(self._carry, self.index[rows])
        self.step += -(-steps // self.chunk) * self.chunk
        return torch.from_numpy(jax.device_get(losses)[-1].copy())


def _forward(params: Any, x: Any) -> Any:
    """The network that these weights belong to, read off their shapes: convolutions come first."""
    for i, (weight, bias) in enumerate(params):
        if weight.ndim == 4:
            x = jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
            x = jax.nn.relu(x + bias[:, None, None])
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        else:
            x = x.reshape(len(x), -1) @ weight.T + bias
            x = x if i + 1 == len(params) else jax.nn.relu(x)
    return x


def sides(network: Network, trials: int) -> dict[str, Side]:
    sample = min(trials, 4)
    made: dict[str, Side] = {
        "ravine": Ravine(network, trials),
        "plain": Plain(network, trials, sample=sample),
        "fused": Plain(network, trials, sample=sample, fused=True),
    }
    if jax is not None:
        made["jax"] = Jax(network, trials)
    return made


def check(network: Network) -> None:
    """Raise unless all sides reach the same losses from the same weights."""
    ends = {name: side.run(Jax.CHUNK) for name, side in sides(network, 4).items()}
    for name, losses in ends.items():
        torch.testing.assert_close(losses, ends["plain"], rtol=0.02, atol=0.02, msg=lambda m, n=name: f"{n}: {m}")


def speeds(found: dict[str, Side], *, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Trial-steps per second of each side in each round, after one that warms up and says how many steps to take."""
    counts, taken = {}, {name: [] for name in found}
    for name, side in found.items():
        side.run(least := getattr(side, "chunk", 1))
        if isinstance(side, Plain):
            side.settle()
        once = _timed(side, least)
        counts[name] = least * max(1, round(seconds / once))
    for _ in range(rounds):
        for name, side in found.items():
            taken[name].append(counts[name] * side.trials / _timed(side, counts[name]))
    return taken


def _timed(side: Side, steps: int) -> float:
    start = time.perf_counter()
    side.run(steps)
    return time.perf_counter() - start


def report(rounds: int, seconds: float, trials: Sequence[int], titles: Sequence[str]) -> None:
    for title in titles:
        network = NETWORKS[title]
        check(network)
        print(f"\n{title}, batch {network.batch}; trial-steps per second, median (lowest to highest)", flush=True)
        against: dict[str, list[float]] = {}
        for k in trials:
            found = sides(network, k)
            taken = speeds(found, rounds=rounds, seconds=seconds)
            cells = [f"{name} {_spread(speed)}" for name, speed in taken.items()]
            ratios = {name: _median_ratio(taken["ravine"], speed) for name, speed in taken.items() if name != "ravine"}
            for name, ratio in ratios.items():
                against.setdefault(name, []).append(ratio)
            print(f"  K = {k:3}  " + "   ".join(cells))
            print(
                "           "
                + ", ".join(f"{ratio:.2f} x {name}" for name, ratio in ratios.items())
                + f"; {found['ravine'].population.choice}",
                flush=True,
            )
        best = ", ".join(f"{max(ratios):.2f} x {name}" for name, ratios in against.items())
        print(f"  at the best K: {best}; to reach: {network.wanted:g} x plain, 1 x jax")


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def _median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Round by round, so that noise of the machine hits both."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def added_memory(make: Callable[[], Side]) -> float:
    """MiB that a side adds to the peak of this process."""
    small = NETWORKS["MLP 64-32-32-10"]
    for warm in (Plain(small, 1, sample=1), Ravine(small, 4)):  # what the libraries take at their first step
        warm.run(4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    make().run(4)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def memory(trials: Sequence[int], titles: Sequence[str]) -> None:
    print("\nMiB added to the peak of a fresh process: by a population, and by K plain trainings side by side")
    print("median of three processes each")
    for title in titles:
        i = list(NETWORKS).index(title)
        for k in trials:
            ours, theirs = (
                statistics.median(_child(f"{name},{i},{k}") for _ in range(3)) for name in ("ravine", "plain")
            )
            ratio = f"{ours / theirs:.2f}" if theirs >= 1 else "too little to compare"
            print(f"  {title}, K = {k:3}: {ours:,.1f} against {theirs:,.1f}: {ratio}; to reach: <= 1.10", flush=True)


def _child(what: str) -> float:
    done = subprocess.run([sys.executable, __file__, "--memory-of", what], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="three rounds of K = 4 and 64 of the MLPs, in under a minute"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--speed", action="store_true", help="leave memory out")
    parts.add_argument("--memory", action="store_true", help="memory alone, in about two minutes")
    parser.add_argument("--only", default="", help="networks with this in their name: MLP, CNN, 784-64")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        name, i, k = args.memory_of.split(",")
        network, count = list(NETWORKS.values())[int(i)], int(k)
        print(added_memory(lambda: Ravine(network, count) if name == "ravine" else Plain(network, count, sample=count)))
        return
    print(machine())
    print(
        f"load {os.getloadavg()[0]:.2f}, n = {3 if args.quick else args.rounds} rounds, jax {jax and jax.__version__}"
    )
    if args.quick:
        report(3, 0.1, [4, 64], list(NETWORKS)[:3])
        return
    titles = [title for title in NETWORKS if args.only in title]
    if not args.memory:
        report(args.rounds, 0.3, [4, 16, 64, 256], [title for title in titles if title.startswith("MLP")])
        # 256 of them take minutes a round in jax
        report(3, 0.1, [4, 16, 64], [title for title in titles if title.startswith("CNN")])
    if not args.speed:
        memory([16, 64], titles)


if __name__ == "__main__":
    main()
