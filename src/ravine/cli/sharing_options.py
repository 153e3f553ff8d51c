"""The options of a training by several processes: fields of `ravine.training.shared.Sharing`, one door for each.

A test compares them with the fields, for torch must not be imported to read the command line.
"""

from __future__ import annotations

from typing import Annotated, Any

from ravine.cli.setting_options import option

__all__ = ["sharing"]


def sharing(
    strategy: Annotated[
        str, option("strategy", "Of several processes: ddp, or fsdp where the model does not fit.")
    ] = "ddp",
    precision: Annotated[str, option("precision", "32, or bf16: products in bfloat16, for GPUs that have it.")] = "32",
    accumulate: Annotated[int, option("accumulate", "Take each batch in so many parts, where it does not fit.")] = 1,
    clip_norm: Annotated[float | None, option("clip_norm", "Longest that the gradient may be, such as 1.")] = None,
    sync_batch_norm: Annotated[
        bool, option("sync_batch_norm", "Batch norm over the examples of all processes, not of each.")
    ] = False,
    scale_lr: Annotated[
        str | None,
        option("scale_lr", "linear or sqrt: the batch grows with the processes, and the rate by this rule."),
    ] = None,
) -> dict[str, Any]:
    """The options as keywords of `Sharing`."""
    return dict(locals())
