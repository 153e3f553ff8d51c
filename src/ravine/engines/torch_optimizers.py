"""SGD, Adam and AdamW under the arguments, defaults and saved states of torch.optim (2.13).

Swap the import and nothing else: a script runs to the same numbers (in float64 to rounding), and a state
saved by either loads in the other. `foreach`, `fused` and `capturable` choose between kernels of torch and
change no result; they are accepted and ignored. The values a rule cannot use are refused where torch
takes them: a momentum of 1 or more, a dampening outside [0, 1], infinities, NaN.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.engines.torch_face import Held, TorchFace
from ravine.engines.torch_inputs import Group, number
from ravine.errors import SettingError
from ravine.rules import Rule

__all__ = ["SGD", "Adam", "AdamW"]


class SGD(TorchFace):
    """`ravine.rules.SGD` as torch.optim.SGD.

    foreach, fused: accepted and ignored, the result is the same. differentiable=True, a sparse gradient and
    values that the rule refuses raise SettingError.
    """

    torch_names: ClassVar[dict[str, str]] = {"velocity": "momentum_buffer"}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def asked(self, group: Group) -> tuple[type[Rule], dict[str, object]]:
        names = ("momentum", "dampening", "weight_decay", "nesterov")
        return rules.SGD, {name: number(name, group[name]) for name in names}

    def steps_taken(self, held: Held) -> int:
        """No count is kept, as in torch; its rule only asks whether a step is the first, which fills the buffer."""
        return 0 if held.get("momentum_buffer") is None else 1

    def count(self, held: Held, step: int) -> None:
        """Nothing to note: the buffer is the count."""


class Adam(TorchFace):
    """`ravine.rules.Adam` as torch.optim.Adam; with decoupled_weight_decay=True `ravine.rules.AdamW`.

    foreach, fused, capturable: accepted and ignored, the result is the same. differentiable=True, a sparse
    gradient and values that the rule refuses raise SettingError.
    """

    torch_names: ClassVar[dict[str, str]] = {
        "mean": "exp_avg",
        "square": "exp_avg_sq",
        "largest": "max_exp_avg_sq",
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def asked(self, group: Group) -> tuple[type[Rule], dict[str, object]]:
        """Adam or AdamW; torch spells the two betas as a pair."""
        beta1, beta2 = _pair(type(self).__name__, group["betas"])
        kind = rules.AdamW if group["decoupled_weight_decay"] else rules.Adam
        return kind, {
            "beta1": number("betas[0]", beta1),
            "beta2": number("betas[1]", beta2),
            "eps": number("eps", group["eps"]),
            "weight_decay": number("weight_decay", group["weight_decay"]),
            "amsgrad": group["amsgrad"],
        }


class AdamW(Adam):
    """`ravine.rules.AdamW` as torch.optim.AdamW.

    foreach, fused, capturable: accepted and ignored, the result is the same. differentiable=True, a sparse
    gradient and values that the rule refuses raise SettingError.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # whatever the state came from, this class decouples
            group["decoupled_weight_decay"] = True


def _pair(owner: str, betas: Any) -> tuple[Any, Any]:
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise SettingError(f"{owner}.betas is {betas!r}; it must be a pair of numbers: write betas=(0.9, 0.999).")
    return betas[0], betas[1]
