"""Torch optimizers for the rules that torch.optim lacks, and Muon, which there takes matrices alone.

Groups, closures and saved states are as everywhere; `maximize` climbs instead.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.engines.torch_face import TorchFace, real, settings
from ravine.engines.torch_inputs import Group
from ravine.errors import SettingError
from ravine.rules import Rule

__all__ = ["LAMB", "SOAP", "Lion", "Muon", "ScheduleFreeAdamW", "ScheduleFreeSGD", "Shampoo"]


class Lion(TorchFace):
    """`ravine.rules.Lion`: the sign of a blend of momentum and gradient.

    >>> param = torch.nn.Parameter(torch.tensor([4.0]))
    >>> optimizer = Lion([param], lr=0.25)
    >>> param.square().sum().backward()
    >>> optimizer.step()
    >>> param.tolist()
    [3.75]
    """

    rule: ClassVar[type[Rule]] = rules.Lion
    torch_names: ClassVar[dict[str, str]] = {"mean": "exp_avg"}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))


class LAMB(TorchFace):
    """`ravine.rules.LAMB`: Adam's direction, as long as lr times the parameter's own norm."""

    rule: ClassVar[type[Rule]] = rules.LAMB
    torch_names: ClassVar[dict[str, str]] = {"mean": "exp_avg", "square": "exp_avg_sq"}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))


class Muon(TorchFace):
    """`ravine.rules.Muon` under the arguments of torch.optim.Muon and its saved states.

    Convolutions are matrices here, and what is no matrix takes AdamW, at lr * adamw_lr_ratio, instead of being
    refused. adjust_lr_fn=None is "original", as in torch. Embeddings and output layers belong in a group with
    matrix=False. torch iterates in bfloat16, this in the parameter's dtype: steps agree to about 1 %.
    """

    rule: ClassVar[type[Rule]] = rules.Muon
    torch_names: ClassVar[dict[str, str]] = {"mean": "momentum_buffer", "square": "exp_avg_sq"}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        matrix: bool = True,
        betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
        adamw_lr_ratio: float = 1.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))

    def asked(self, group: Group) -> tuple[type[Rule], dict[str, object]]:
        """Muon's settings, with torch's name for the original ratio."""
        kind, given = super().asked(group)
        coefficients = given["ns_coefficients"]
        if isinstance(coefficients, list):
            given["ns_coefficients"] = tuple(coefficients)
        return kind, {**given, "adjust_lr_fn": given["adjust_lr_fn"] or "original"}


class Shampoo(TorchFace):
    """`ravine.rules.Shampoo`: each side of a matrix preconditioned by the root of its own second moments."""

    rule: ClassVar[type[Rule]] = rules.Shampoo

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        matrix_eps: float = 1e-6,
        weight_decay: float = 0.01,
        update_every: int = 10,
        max_size: int = 1024,
        grafting: bool = True,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))


class SOAP(TorchFace):
    """`ravine.rules.SOAP`: Adam in the eigenbasis of Shampoo."""

    rule: ClassVar[type[Rule]] = rules.SOAP

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        shampoo_beta: float = 0.95,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        precondition_frequency: int = 10,
        max_precond_dim: int = 1024,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))


class Averaging(TorchFace):
    """A face whose parameters hold the training weights: `eval` puts the averages there, `train` puts them back.

    Call `optimizer.train()` where the model is put into training mode, `optimizer.eval()` where it is evaluated or
    saved; a step in between raises SettingError. Batch norm's statistics belong to the training weights.
    """

    @torch.no_grad()
    def eval(self) -> None:
        """Put the averaged weights into the parameters; a second call changes nothing."""
        for index, group in enumerate(self.param_groups):
            plan = self._plan(index, group)
            for param in group["params"]:
                held = self.state.get(param)
                if held and "training" not in held:
                    form, here = self._form(param, held, plan), real(param)
                    state = form.state([real(held[key]) for key in form.keys if key is not None])
                    held["training"] = param.detach().clone()
                    here.copy_(plan.rule.settled(here, state))

    @torch.no_grad()
    def train(self) -> None:
        """Put the training weights back, to the bit; a second call changes nothing."""
        for param, held in self.state.items():
            if "training" in held:
                param.copy_(held.pop("training"))

    def step(self, closure: Any = None) -> Any:
        """One step; refused while the parameters hold the averages."""
        if any("training" in held for held in self.state.values()):
            raise SettingError(
                f"{type(self).__name__} was asked for a step while the parameters hold its averages; a step starts "
                "from the training weights: call optimizer.train() first."
            )
        return super().step(closure)


class ScheduleFreeSGD(Averaging):
    """`ravine.rules.ScheduleFreeSGD`: no schedule, but a warm-up if need be. Evaluate between `eval` and `train`.

    >>> param = torch.nn.Parameter(torch.tensor([4.0]))
    >>> optimizer = ScheduleFreeSGD([param], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     param.grad = torch.tensor([4.0])
    ...     optimizer.step()
    >>> optimizer.eval()
    >>> param.tolist()  # the average of 3 and 2
    [2.5]
    >>> optimizer.train()
    >>> param.tolist()
    [2.25]
    """

    rule: ClassVar[type[Rule]] = rules.ScheduleFreeSGD

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))


class ScheduleFreeAdamW(Averaging):
    """`ravine.rules.ScheduleFreeAdamW`: no schedule, but a warm-up if need be. Evaluate between `eval` and `train`."""

    rule: ClassVar[type[Rule]] = rules.ScheduleFreeAdamW
    torch_names: ClassVar[dict[str, str]] = {"square": "exp_avg_sq"}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings(locals()))
