"""A case trained and watched: what its losses, gradients, updates and activations did.

Letters in shapes: T steps, L layers with parameters, B batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ravine.diagnosis.case import Case
from ravine.engines.threads import threads
from ravine.errors import ModelError, first_line
from ravine.randomness import seeded

__all__ = ["Layer", "Mark", "Scores", "Trace", "layers_of", "score", "train"]

PROBE = 256  # rows that activations and per-layer gradients are looked at on
ROWS = 2_000  # rows of each split that scores are taken on
MARKS = 12  # looks at scores and layers over a training, besides the first and the last
SMALL = 300_000  # parameters: below, one thread is faster, and two waiting for each other can be ten times slower
RARE = 0.02  # least share of other classes than the commonest: where there are none, no skill can be shown
CLOSURES = ("BFGS", "LBFGS", "Newton")


@dataclass(frozen=True)
class Scores:
    """How good outputs are. `skill`: 0 for knowing nothing but the targets' shares or mean, 1 for perfect; may be below 0."""

    loss: float
    metric: float  # accuracy, or r2
    skill: float


@dataclass(frozen=True)
class Layer:
    """What one layer's output looks like over a probe, evaluation mode."""

    name: str
    kind: str  # its class
    mean: float
    std: float  # over all values
    over_rows: float  # mean over units of the standard deviation over rows: 0 where the input no longer matters
    dead: float  # share of units that are 0 on every row
    saturated: float  # share of values beyond 97 % of the ends of a bounded activation, else 0


@dataclass(frozen=True)
class Mark:
    """A look between two steps."""

    step: int
    train: Scores
    held: Scores
    layers: tuple[Layer, ...]
    grads: dict[str, float]  # norm of each parameter's gradient on the last batch
    weights: dict[str, float]  # norm of each parameter


@dataclass(eq=False)
class Trace:
    """A training that was watched. `finite`: no loss was NaN or infinite; the training ends where one is."""

    case: Case
    losses: list[float] = field(default_factory=list)  # [T]
    grads: list[float] = field(default_factory=list)  # [T], norm of the whole gradient
    moves: list[float] = field(default_factory=list)  # [T], norm of the update over that of the parameters
    marks: list[Mark] = field(default_factory=list)
    seconds: float = 0.0
    model: nn.Module | None = None
    raised: str = ""  # what stopped it, in a line

    @property
    def finite(self) -> bool:
        return bool(self.marks) and all(math.isfinite(loss) for loss in self.losses) and not self.raised

    @property
    def last(self) -> Mark:
        return self.marks[-1]

    @property
    def train(self) -> Scores:
        return self.marks[-1].train

    @property
    def held(self) -> Scores:
        return self.marks[-1].held

    def best_held(self) -> Mark:
        """The look at which the held-out rows were predicted best."""
        return max(self.marks, key=lambda mark: mark.held.skill if math.isfinite(mark.held.skill) else -math.inf)

    def tail(self, share: float = 0.1) -> list[float]:
        """The last losses."""
        return self.losses[-max(1, int(share * len(self.losses))) :]


def train(
    case: Case,
    *,
    steps: int | None = None,
    deadline: float = math.inf,
    horizon: int | None = None,
    marks: int = MARKS,
) -> Trace:
    """Train as the case says, for `steps` (all of them where None) or until time.monotonic() comes to `deadline`.

    horizon: steps that the schedule is stretched over; those of the case where None. marks: looks between the first and the
    last, which cost more than the steps where these are few.
    """
    begun, trace = time.monotonic(), Trace(case)
    model = trace.model = case.build()
    wanted, horizon = steps or case.steps, horizon or case.steps
    size = sum(p.numel() for p in model.parameters())
    with threads(1 if size < SMALL else None), seeded(case.seed, "training"):
        try:
            _steps(trace, model, case, wanted, horizon, deadline, marks)
        except Exception as error:  # whatever the model, the loss or the rule raises
            trace.raised = first_line(error)
    trace.seconds = time.monotonic() - begun
    return trace


def _steps(trace: Trace, model: nn.Module, case: Case, wanted: int, horizon: int, deadline: float, marks: int) -> None:
    optimizer, parameters = case.optimizer(model), list(model.parameters())
    looks = _looks(wanted, marks)
    model.train()
    trace.marks.append(_mark(case, model, 0))
    for step, rows in enumerate(_batches(case, wanted)):
        if time.monotonic() > deadline:
            break
        for group in optimizer.param_groups:
            group["lr"] = case.lr * case.factor(step, horizon)
        x, y = case.x[rows], case.y[rows]
        before = [p.detach().clone() for p in parameters] if step in looks or step % 10 == 0 else None
        loss = _step(optimizer, model, case, x, y)
        trace.losses.append(loss)
        trace.grads.append(_norm([p.grad for p in parameters if p.grad is not None]))
        if before is not None:
            size = _norm(before)
            trace.moves.append(_norm([p.detach() - b for p, b in zip(parameters, before, strict=True)]) / (size or 1.0))
        if step + 1 in looks:
            trace.marks.append(_mark(case, model, step + 1))
        if not math.isfinite(loss):
            break
    if trace.marks[-1].step != len(trace.losses):
        trace.marks.append(_mark(case, model, len(trace.losses)))


def _step(optimizer: torch.optim.Optimizer, model: nn.Module, case: Case, x: Tensor, y: Tensor) -> float:
    """One step; the loss before it."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = case.loss_of(model(x), y)
        if loss.requires_grad:
            loss.backward()
        return loss

    if type(optimizer).__name__ in CLOSURES:
        return float(optimizer.step(closure))  # type: ignore[arg-type]
    loss = closure()
    optimizer.step()
    return float(loss.detach())


def _batches(case: Case, steps: int) -> Iterator[Tensor]:
    """Rows of so many batches; the last of an epoch is left out where it is not full."""
    size, each = min(case.batch_size, len(case.x)), case.steps_per_epoch
    for step in range(steps):
        if step % each == 0:
            order = case.rows(step // each)
        start = (step % each) * size
        yield order[start : start + size]


def _looks(steps: int, marks: int) -> set[int]:
    """Steps after which the scores and the layers are looked at: close together at first."""
    after = {round(steps * (i / marks) ** 1.5) for i in range(1, marks + 1)}
    return after | {1} if marks >= MARKS else after


def _mark(case: Case, model: nn.Module, step: int) -> Mark:
    grads = {name: float(p.grad.norm()) for name, p in model.named_parameters() if p.grad is not None}
    weights = {name: float(p.detach().norm()) for name, p in model.named_parameters()}
    with _evaluating(model):
        train, held = (
            score(case, outputs(model, x[:ROWS]), y[:ROWS]) for x, y in ((case.x, case.y), (case.held_x, case.held_y))
        )
        return Mark(step, train, held, tuple(layers_of(model, case.x[:PROBE])), grads, weights)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards every module's own mode again; no random state is used up."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def outputs(model: nn.Module, x: Tensor) -> Tensor:
    """Outputs as the model is set, in chunks."""
    found = [model(part) for part in x.split(512)]
    if not all(isinstance(part, Tensor) for part in found):
        raise ModelError(f"the model returns {type(found[0]).__name__} from forward; it must return a tensor.")
    if any(part.ndim == 0 for part in found):
        raise ModelError(
            "the model returns a single number for a batch; it must return a row of outputs for every example."
        )
    return torch.cat(found)


def score(case: Case, outputs: Tensor, y: Tensor) -> Scores:
    """Loss, accuracy or r2, and skill of outputs against targets."""
    loss = float(case.loss_of(outputs, y)) if len(y) else math.nan
    if case.task == "classification":
        labels = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y)).to(torch.int64)
        known = labels >= 0  # torch ignores rows of label -100
        labels, outputs = labels[known], outputs[known]
        metric = float((predicted(case, outputs) == labels).float().mean())
        chance = float(torch.bincount(labels).max() / len(labels)) if len(labels) else 1.0
        return Scores(loss, metric, (metric - chance) / max(1 - chance, RARE))
    r2 = _r2(outputs.reshape(len(y), -1), y.reshape(len(y), -1))
    return Scores(loss, r2, r2)


def _r2(outputs: Tensor, y: Tensor) -> float:
    """Of outputs [B, D] or, where the loss takes more of them (a mean and a variance, say), of those that predict best."""
    size, spread = y.shape[1], float((y - y.mean(0)).square().mean())
    parts = outputs.split(size, dim=1) if outputs.shape[1] % size == 0 else [outputs]
    return max(1 - float((part - y).square().mean()) / max(spread, 1e-30) for part in parts)


def predicted(case: Case, outputs: Tensor) -> Tensor:
    """The class of every row, [N]. One output: a probability for "bce", a logit or a regressed number otherwise."""
    flat = outputs.reshape(len(outputs), -1)
    if flat.shape[1] > 1:
        return flat.argmax(-1)
    threshold = 0.0 if case.loss == "bce_with_logits" else 0.5
    return (flat[:, 0] > threshold).to(torch.int64) if case.classes <= 2 else flat[:, 0].round().to(torch.int64)


BOUNDED: dict[type[nn.Module], tuple[float, float]] = {
    nn.Sigmoid: (0.0, 1.0),
    nn.Tanh: (-1.0, 1.0),
    nn.Hardtanh: (-1.0, 1.0),
    nn.Softsign: (-1.0, 1.0),
}


def layers_of(model: nn.Module, x: Tensor) -> list[Layer]:
    """Statistics of the output of every module without children that gives one tensor, in the order of the forward pass."""
    found: list[Layer] = []

    def listen(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, _: object, out: object) -> None:
            if isinstance(out, Tensor) and out.dtype.is_floating_point and out.ndim > 1:
                found.append(_layer(name, module, out))

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not any(True for _ in module.children())]
    handles = [module.register_forward_hook(listen(name)) for name, module in leaves]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _layer(name: str, module: nn.Module, out: Tensor) -> Layer:
    units = out.flatten(2).transpose(1, 2).flatten(0, 1) if out.ndim > 2 else out  # [rows, units], pixels as rows
    saturated = 0.0
    if type(module) in BOUNDED:
        low, high = BOUNDED[type(module)]
        edge = 0.03 * (high - low)
        saturated = float(((units < low + edge) | (units > high - edge)).float().mean())
    flat = out.flatten(1)
    return Layer(
        name,
        type(module).__name__,
        float(out.mean()),
        float(out.std()),
        _over_rows(flat),
        float((units == 0).all(0).float().mean()),
        saturated,
    )


def _over_rows(flat: Tensor) -> float:
    """Mean over units of the standard deviation over rows; torch's own `std(0)` takes ten times as long on a CPU."""
    if len(flat) < 2:
        return 0.0
    return float(((flat - flat.mean(0)).square().sum(0) / (len(flat) - 1)).sqrt().mean())


def _norm(tensors: list[Tensor]) -> float:
    if not tensors:
        return 0.0
    return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors))))
