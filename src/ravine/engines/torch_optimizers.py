"""The twins of torch.optim (2.13): its arguments, defaults and saved states.

Swap the import and nothing else: a script runs to the same numbers (in float64 to rounding), and a state
saved by either loads in the other. `foreach`, `fused` and `capturable` choose between kernels of torch and
change no result; they are accepted and ignored. differentiable=True, a sparse gradient, and values that the
rule cannot use are refused, also where torch takes them: a momentum of 1 or more, infinities, NaN.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.engines.torch_face import Held, TorchFace, count_dtype, settings
from ravine.engines.torch_inputs import Group
from ravine.rules import Rule

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop"]


class SGD(TorchFace):
    """`ravine.rules.SGD` as torch.optim.SGD. The lecture's momentum: 0.9 or 0.99.

    >>> param = torch.nn.Parameter(torch.tensor([4.0]))
    >>> optimizer = SGD([param], lr=0.25, momentum=0.9)
    >>> param.square().sum().backward()
    >>> optimizer.step()
    >>> param.tolist()
    [2.0]
    """

    rule: ClassVar[type[Rule]] = rules.SGD
    torch_names: ClassVar[dict[str, str]] = {"velocity": "momentum_buffer"}
    counts: ClassVar[bool] = False

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
        super().__init__(params, settings(locals()))

    def steps_taken(self, held: Held) -> int:
        """No count is kept, as in torch; its rule only asks whether a step is the first, which fills the buffer."""
        return 0 if held.get("momentum_buffer") is None else 1


class Adagrad(TorchFace):
    """`ravine.rules.Adagrad` as torch.optim.Adagrad. The lecture's eps: 1e-8."""

    rule: ClassVar[type[Rule]] = rules.Adagrad
    torch_names: ClassVar[dict[str, str]] = {"total": "sum"}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, settings(locals()))

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters; their memory is there before the first step, as torch's twin expects of a saved state."""
        super().add_param_group(param_group)
        index = len(self.param_groups) - 1
        plan = self._plan(index, self.param_groups[index])
        for param in self.param_groups[index]["params"]:
            self._form(param, self.state[param], plan)
            self.state[param]["step"] = torch.tensor(0.0, dtype=count_dtype())


class RMSprop(TorchFace):
    """`ravine.rules.RMSprop` as torch.optim.RMSprop. The lecture's settings: alpha 0.9, lr 0.001."""

    rule: ClassVar[type[Rule]] = rules.RMSprop
    torch_names: ClassVar[dict[str, str]] = {
        "square": "square_avg",
        "mean": "grad_avg",
        "velocity": "momentum_buffer",
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))


class Adadelta(TorchFace):
    """`ravine.rules.Adadelta` as torch.optim.Adadelta. The lecture's settings are these."""

    rule: ClassVar[type[Rule]] = rules.Adadelta
    torch_names: ClassVar[dict[str, str]] = {"square": "square_avg", "step_square": "acc_delta"}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))


ADAM_NAMES = {"mean": "exp_avg", "square": "exp_avg_sq", "largest": "max_exp_avg_sq"}


class Adam(TorchFace):
    """`ravine.rules.Adam` as torch.optim.Adam; with decoupled_weight_decay=True `ravine.rules.AdamW`.

    The lecture's settings are these.
    """

    rule: ClassVar[type[Rule]] = rules.Adam
    torch_names: ClassVar[dict[str, str]] = ADAM_NAMES

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
        super().__init__(params, settings(locals()))

    def asked(self, group: Group) -> tuple[type[Rule], dict[str, object]]:
        """Adam or AdamW, as the group's decoupled_weight_decay says."""
        kind, given = super().asked(group)
        return (rules.AdamW if group["decoupled_weight_decay"] else kind), given


class AdamW(Adam):
    """`ravine.rules.AdamW` as torch.optim.AdamW."""

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
        super().__init__(**{**settings(locals()), "params": params, "decoupled_weight_decay": True})

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # whatever the state came from, this class decouples
            group["decoupled_weight_decay"] = True


class NAdam(TorchFace):
    """`ravine.rules.NAdam` as torch.optim.NAdam."""

    rule: ClassVar[type[Rule]] = rules.NAdam
    torch_names: ClassVar[dict[str, str]] = ADAM_NAMES

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    def state_dict(self) -> dict[str, Any]:
        """As everywhere, with the product of momenta that torch keeps and this rule works out from the step."""
        saved = super().state_dict()
        for group in saved["param_groups"]:
            kind, given = self.asked(group)
            rule = kind(**given)
            assert isinstance(rule, rules.NAdam)
            for held in (saved["state"][i] for i in group["params"] if i in saved["state"]):
                held["mu_product"] = torch.tensor(rule.momentum_product(int(held["step"])), dtype=count_dtype())
        return saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As everywhere; the product of momenta is let go."""
        super().load_state_dict(state_dict)
        for held in self.state.values():
            held.pop("mu_product", None)


class RAdam(TorchFace):
    """`ravine.rules.RAdam` as torch.optim.RAdam."""

    rule: ClassVar[type[Rule]] = rules.RAdam
    torch_names: ClassVar[dict[str, str]] = ADAM_NAMES

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))


class Adamax(TorchFace):
    """`ravine.rules.Adamax` as torch.optim.Adamax."""

    rule: ClassVar[type[Rule]] = rules.Adamax
    torch_names: ClassVar[dict[str, str]] = {"mean": "exp_avg", "largest": "exp_inf"}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))
