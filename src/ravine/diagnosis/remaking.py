"""Other makes of a model or rule, which cure faults of its signals, for `Look.remade`; and what its weights are by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ravine.diagnosis.case import Case

__all__ = ["Clipped", "Undropped", "drawn_afresh", "leaky", "rectified", "root_mean_square", "symmetric", "weights_of"]

WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)
BENT = (nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Softsign, nn.Hardsigmoid)


def drawn_afresh(model: nn.Module) -> None:
    """Initial weights by each module's own default; bare matrices are brought to the scale of Glorot and Bengio 2010."""
    bare = dict(model.named_parameters())
    for name, module in model.named_modules():
        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if callable(reset):
            reset()
            for own, _ in module.named_parameters(recurse=False):
                bare.pop(f"{name}.{own}".lstrip("."), None)
    with torch.no_grad():
        for parameter in bare.values():
            if matrix(parameter) and float(parameter.std()) > 0:
                parameter.mul_(glorot(parameter) / root_mean_square(parameter))


def rectified(model: nn.Module) -> None:
    """Bounded activations but the last replaced by ReLU, and weights by He et al. 2015, which keep a signal's size through it."""
    replace(model, BENT, nn.ReLU)
    for module in model.modules():
        if isinstance(module, WEIGHTED):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def leaky(model: nn.Module) -> None:
    """ReLU and bounded activations but the last replaced by a leaky ReLU, which has a slope everywhere."""
    replace(model, (nn.ReLU, nn.ReLU6, *BENT), lambda: nn.LeakyReLU(0.1))


def replace(model: nn.Module, kinds: tuple[type[nn.Module], ...], make: Callable[[], nn.Module]) -> None:
    """Every module of those kinds becomes a fresh one, except a last one: a bound on the outputs may be meant."""
    places = [(parent, name, child) for parent in model.modules() for name, child in parent.named_children()]
    leaves = [child for child in model.modules() if not any(True for _ in child.children())]
    for parent, name, child in places:
        if isinstance(child, kinds) and child is not leaves[-1]:
            setattr(parent, name, make())


class Undropped(nn.Module):
    """A model whose dropout, modules and functions alike, lets everything through."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        with _NoDropout():
            return self.inner(x)  # type: ignore[no-any-return]


DROPOUTS = (
    F.dropout,
    F.dropout1d,
    F.dropout2d,
    F.dropout3d,
    F.alpha_dropout,
    F.feature_alpha_dropout,
    torch.dropout,
    torch.dropout_,
)


class _NoDropout(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in DROPOUTS:
            return args[0] if args else kwargs["input"]
        return func(*args, **(kwargs or {}))


class Clipped:
    """A case's rule with gradients shortened to a norm of `most` (Pascanu et al. 2013): a factory, as a rule may be one."""

    def __init__(self, case: Case, most: float = 1.0) -> None:
        self.case, self.most = case, most

    def __call__(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        held = list(parameters)

        def shorten(*_: object) -> None:
            nn.utils.clip_grad_norm_(held, self.most)

        optimizer = self.case.but(lr=lr).optimizer(nn.ParameterList(held))
        optimizer.register_step_pre_hook(shorten)
        return optimizer


def weights_of(model: nn.Module) -> Iterator[tuple[str, Tensor, float]]:
    """(name, weight, root mean square of its default) of every matrix in the order of definition, embeddings left out.

    The default of a Linear or convolution is uniform within 1 / sqrt(inputs), as torch draws it.
    """
    for name, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            if matrix(parameter) and not isinstance(module, nn.Embedding | nn.EmbeddingBag):
                default = glorot(parameter)
                if isinstance(module, WEIGHTED):
                    default = (3 * parameter[0].numel()) ** -0.5
                elif isinstance(module, nn.RNNBase):
                    default = (3 * module.hidden_size) ** -0.5
                yield f"{name}.{own}".lstrip("."), parameter.detach(), float(default)


def symmetric(model: nn.Module) -> bool:
    """Whether some matrix but the last gives all its outputs alike: a fault of another name, whatever the weights' size."""
    return any(bool((weight == weight[:1]).all()) for _, weight, _ in list(weights_of(model))[:-1] if len(weight) > 1)


def matrix(parameter: Tensor) -> bool:
    """Whether it mixes inputs into outputs, as a bias, a scale or one token does not."""
    return parameter.ndim == 2 or (parameter.ndim > 2 and min(parameter.shape[:2]) > 1) or parameter.ndim > 3


def glorot(parameter: Tensor) -> float:
    return float((2 / (parameter.shape[0] + parameter[0].numel())) ** 0.5)


def root_mean_square(parameter: Tensor) -> float:
    return float(parameter.detach().square().mean().sqrt())
