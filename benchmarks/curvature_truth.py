"""Claim: on 5,000 parameters every figure is that of the dense Hessian: eigenvalues to 1e-4, moments to 1 %, the trace within its error.

MLP 64-66-10 (4,960 parameters) on scikit-learn's digits, in float64, untrained and after 3 epochs of Adam. The dense Hessian is
torch.func's, its eigenvalues LAPACK's. The tests hold the same to smaller networks of other kinds; this one takes minutes.

    python benchmarks/curvature_truth.py [--seeds 1000]
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn
from torch.func import functional_call

from _machine import machine
from ravine.curvature import Dense, Eigenpairs, Objective, extremes, hessian, spectral_density, trace_of
from ravine.data import Data, load
from ravine.models import Model, mlp
from ravine.training import Run, Setting

CHUNK = 200  # columns of the dense Hessian at a time
TOP, BOTTOM, PROBES, STEPS = 60, 60, 300, 20


def networks(data: Data) -> dict[str, nn.Module]:
    model = Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": 66})
    run = Run(data, model, [Setting("adam", lr=1e-3, weight_decay=0.0)], steps=3 * len(data.train) // 64)
    run.advance(run.steps)
    trained = model.build(0)
    trained.load_state_dict(run.population.state(0))
    return {"untrained": model.build(0).double(), "trained": trained.double()}


def dense(objective: Objective) -> Tensor:
    """The Hessian [P, P], a few columns at a time."""
    x, y = objective.rows(torch.arange(objective.examples))

    def slope(point: Tensor) -> Tensor:
        return torch.func.grad(
            lambda at: objective.loss_function(functional_call(objective.module, objective.layout.views(at), (x,)), y)
        )(point)

    point, columns = objective.point(), torch.eye(objective.size, dtype=torch.float64)
    along = torch.func.vmap(lambda column: torch.func.jvp(slope, (point,), (column,))[1])
    return torch.cat([along(some) for some in columns.split(CHUNK)]).detach()


def farthest(found: Tensor, wanted: Tensor) -> float:
    return float(((found - wanted) / wanted).abs().max())


def report(name: str, network: nn.Module, data: Data, seeds: int) -> None:
    objective = Objective(network, data.train, data.task)
    matrix = dense(objective)
    values = torch.linalg.eigvalsh(matrix)
    ends = extremes(hessian(objective), largest=3, smallest=3, tol=1e-4, floor=0.0)
    print(f"{name}: {objective.size:,} parameters, {objective.examples:,} images, {ends.products} products")
    print(
        f"  three largest eigenvalues ({float(values[-1]):.4g} first) off by {farthest(ends.largest.values, values.flip(0)[:3]):.1e} "
        f"at most, three smallest ({float(values[0]):.4g} first) by {farthest(ends.smallest.values, values[:3]):.1e}; to reach: 1e-4"
    )
    operator, trace = Dense(matrix), float(matrix.trace())
    inside = sum(abs((one := trace_of(operator, seed=seed)).value - trace) <= one.error for seed in range(seeds))
    print(f"  trace {trace:.4g}: within the error of 60 products for {inside} of {seeds} seeds; to reach: 95 %")
    wide = extremes(operator, largest=TOP, smallest=BOTTOM, tol=1e-3, floor=1e-5)
    known = Eigenpairs(
        *(torch.cat(pair) for pair in zip(vars(wide.largest).values(), vars(wide.smallest).values(), strict=True))
    )
    density = spectral_density(operator, probes=PROBES, steps=STEPS, outliers=known)
    off = [100 * abs(density.moment(k).value / float((values**k).mean()) - 1) for k in (1, 2, 3, 4)]
    print(
        f"  moments 1 to 4 of the density ({len(known)} eigenvalues one by one, {PROBES} probes) off by "
        f"{', '.join(f'{each:.2g}' for each in off)} %; to reach: 1 %",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1000)
    args = parser.parse_args()
    data = load("digits", seed=0)
    print(machine())
    for name, network in networks(data).items():
        report(name, network, data, args.seeds)


if __name__ == "__main__":
    main()
