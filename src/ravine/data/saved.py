"""Preprocessing back from the JSON beside the weights, of whichever kind it is; nothing in it is run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from ravine.data.arrays import ArrayPreprocessing
from ravine.data.images import ImagePreprocessing
from ravine.data.preprocessing import Preprocessing
from ravine.data.tables import TablePreprocessing
from ravine.errors import DataError

__all__ = ["preprocessing_from_json"]

ANY: TypeAdapter[TablePreprocessing | ImagePreprocessing | ArrayPreprocessing] = TypeAdapter(
    Annotated[TablePreprocessing | ImagePreprocessing | ArrayPreprocessing, Field(discriminator="kind")]
)


def preprocessing_from_json(text: str) -> Preprocessing:
    """What `model_dump_json` wrote. Raises DataError, one line, when the text is damaged or holds anything else."""
    try:
        return ANY.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the text"
        reason = " ".join(first["msg"].split())[:200]
        raise DataError(
            f"the saved preprocessing is damaged: {where}: {reason}; train again, or restore the file."
        ) from None
