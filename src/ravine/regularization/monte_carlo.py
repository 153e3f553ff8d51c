"""Monte-Carlo dropout: how unsure a network is, from many passes with dropout left on.

All passes of a few examples run at once: the layers' `step` buffers are mapped over by vmap while the examples
are shared, so what stands before the first random layer is computed once.

Letters in shapes: N examples, C classes (or outputs), T passes, n examples of one chunk.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ravine.errors import ModelError, SettingError
from ravine.randomness import derive, seeded
from ravine.regularization.noise import noises
from ravine.regularization.replace import replace_dropout
from ravine.types import Task

__all__ = ["MCPrediction", "mc_predict"]


class MCPrediction(NamedTuple):
    """What T passes say together. Entropies are in nats; they are None for regression."""

    mean: Tensor  # [N, C]: probabilities, or outputs
    spread: Tensor  # [N, C]: standard deviation over passes of the same, with T - 1 in the denominator
    entropy: Tensor | None  # [N]: of the mean; the whole uncertainty
    mutual_information: Tensor | None  # [N]: entropy of the mean less mean entropy; what more data could take away


def mc_predict(
    model: nn.Module, x: Tensor, passes: int = 50, *, task: Task = "classification", seed: int = 0, chunk: int = 1024
) -> MCPrediction:
    """The mean and the spread of T passes with dropout left on.

    x: [N, ...]. model: gives logits [N, C], or in regression [N, C] or [N]. It is left exactly as it was, torch's
        generators too. Only layers that drop (torch's nn.Dropout, 1d, 2d, 3d and every Noise layer) are on; batch norm
        stays in evaluation, and so does what has no such layer of its own: alpha dropout, the dropout of
        attention weights and inside torch's recurrent layers.
    passes: T, 2 or more. The mean's standard error is spread / sqrt(T).
    chunk: examples times passes to hold at once; there are max(1, chunk // passes) examples in a part.

    Every example and pass has a mask of its own: pass t of part c is drawn at step c * T + t with seed
    derive(seed, "monte carlo"). So the draws that an example meets depend on its place in x, on passes and on chunk.
    A model that vmap refuses is run pass by pass, with the same draws.
    Sources: Gal & Ghahramani 2016; mutual information (BALD): Houlsby et al. 2011.
    Raises SettingError for passes, chunk or task outside their range and for a model in which nothing drops,
    ModelError for an output that is no such tensor.
    """
    _check(passes, chunk, task)
    noisy, device = _noisy(model, seed, x.device)
    parts = []
    with torch.no_grad(), seeded(seed, "monte carlo"), _as_written():
        batched = True
        for number, part in enumerate(x.split(max(1, chunk // passes))):
            steps = torch.arange(passes, device=device) + number * passes
            outputs = _batched(noisy, part.to(device), steps) if batched else None
            batched = outputs is not None
            if outputs is None:
                outputs = _in_turn(noisy, part.to(device), steps)
            parts.append(_summary(_checked_outputs(outputs, len(part), task), task))
    return _joined(parts)


def _check(passes: int, chunk: int, task: str) -> None:
    if isinstance(passes, bool) or not isinstance(passes, int) or passes < 2:
        raise SettingError(f"passes is {passes!r}; a spread needs a whole number of passes, 2 or more: write 50.")
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise SettingError(f"chunk is {chunk!r}; it must be a whole number of examples, 1 or more: write 1024.")
    if task not in ("classification", "regression"):
        raise SettingError(f"task is {task!r}; write 'classification' or 'regression'.")


def _noisy(model: nn.Module, seed: int, default: torch.device) -> tuple[nn.Module, torch.device]:
    """A copy in evaluation whose random layers alone are in training, and the device it is on."""
    device = next((each.device for each in itertools.chain(model.parameters(), model.buffers())), default)
    copied = replace_dropout(copy.deepcopy(model), seed=derive(seed, "monte carlo")).to(device).eval()
    layers = [layer for _, layer in noises(copied)]
    if not any(layer.p > 0 for layer in layers):
        found = "all its dropout layers have rate 0" if layers else "it has no dropout layer"
        raise SettingError(
            f"nothing drops in this {type(model).__name__}: {found}, so all passes would be the same. "
            "Monte-Carlo dropout needs a model trained with dropout: give it an nn.Dropout(0.1), or use an ensemble."
        )
    for layer in layers:
        layer.train()
        layer.idle = False
    return copied, device


@contextmanager
def _as_written() -> Iterator[None]:
    """Attention layers in evaluation would take a fused path that passes their dropout layers over: not inside."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _batched(noisy: nn.Module, x: Tensor, steps: Tensor) -> Tensor | None:
    """Outputs of all passes at once, [T, n, ...]; None when the model cannot be mapped over."""
    names = [f"{name}.step" if name else "step" for name, _ in noises(noisy)]

    def one_pass(step: Tensor) -> Tensor:
        return _tensor(functional_call(noisy, dict.fromkeys(names, step), (x,)))

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")  # an operation mapped by a loop
        try:
            return vmap(one_pass, randomness="error")(steps)
        except Exception:  # whatever it is: the pass by pass way meets it again if it is the model's own
            return None


def _in_turn(noisy: nn.Module, x: Tensor, steps: Tensor) -> Tensor:
    """Outputs pass by pass, [T, n, ...]."""
    outputs = []
    for step in steps:
        for _, layer in noises(noisy):
            layer.step.copy_(step)
        outputs.append(_tensor(noisy(x)))
    return torch.stack(outputs)


def _tensor(out: object) -> Tensor:
    if not isinstance(out, Tensor):
        raise ModelError(f"the model returns {type(out).__name__} from forward; it must return a tensor [N, C].")
    return out


def _checked_outputs(outputs: Tensor, count: int, task: Task) -> Tensor:
    """Outputs as [T, n, C]. Raises ModelError when they have another form."""
    if task == "regression" and outputs.shape[1:] == (count,):
        outputs = outputs.unsqueeze(-1)
    if outputs.ndim != 3 or outputs.shape[1] != count or (task == "classification" and outputs.shape[2] < 2):
        wanted = "[N, C] with C of 2 or more" if task == "classification" else "[N] or [N, C]"
        raise ModelError(
            f"the model gives an output of shape {tuple(outputs.shape[1:])} for {count} examples; "
            f"{task} needs {wanted}."
        )
    return outputs


def _summary(outputs: Tensor, task: Task) -> MCPrediction:
    """What the outputs of all passes, [T, n, C], come to. Computed in float64: entropies are subtracted."""
    values = torch.softmax(outputs.double(), dim=-1) if task == "classification" else outputs.double()
    dtype = torch.promote_types(outputs.dtype, torch.float32)
    mean, spread = values.mean(0).to(dtype), values.std(0, correction=1).to(dtype)
    if task == "regression":
        return MCPrediction(mean, spread, None, None)
    whole, within = _entropy(values.mean(0)), _entropy(values).mean(0)
    information = (whole - within).clamp(min=0)  # below 0 it can only be by rounding (Jensen)
    return MCPrediction(mean, spread, whole.to(dtype), information.to(dtype))


def _entropy(probabilities: Tensor) -> Tensor:
    """In nats, over the last dimension; 0 log 0 is 0."""
    return torch.special.entr(probabilities).sum(-1)  # type: ignore[no-any-return]


def _joined(parts: Sequence[MCPrediction]) -> MCPrediction:
    mean, spread, entropy, information = zip(*parts, strict=True)
    together = [None if column[0] is None else torch.cat(column) for column in (entropy, information)]
    return MCPrediction(torch.cat(mean), torch.cat(spread), together[0], together[1])
