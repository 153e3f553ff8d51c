"""The most of everything that is read, stated once. What is larger is refused in one line before memory is spent on it.

Data files, images, configurations, spaces, expressions, checkpoints and run folders may come from strangers, and a file of a
kilobyte can ask for a terabyte. Each number is well above what a person needs and well below what a machine has. Nothing is
imported here, so that every folder may ask.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LIMITS", "Limit"]

TABLE_COLUMNS = 100_000
TABLE_HEADER = 16 * 2**20
IMAGE_PIXELS = 89_478_485
IMAGE_BYTES = 256 * 2**20
RECORD_BYTES = 128 * 2**20
CONFIG_BYTES = 2**20
EXPRESSION = 1_000
CHOICES = 10_000
WHOLE = 2**53
GRID = 1_000_000
TRIALS = 100_000
EPOCHS = 1_000_000
WORKERS = 1_024
MEMBERS = 1_000
LAYERS = 1_000
PARAMETERS = 2**30


class Limit(NamedTuple):
    """One number, and what it is the most of."""

    most: int
    words: str


LIMITS: dict[str, Limit] = {
    "TABLE_COLUMNS": Limit(TABLE_COLUMNS, "columns of a table"),
    "TABLE_HEADER": Limit(TABLE_HEADER, "characters of the first line of a CSV"),
    "IMAGE_PIXELS": Limit(IMAGE_PIXELS, "pixels of an image, as its header says"),
    "IMAGE_BYTES": Limit(IMAGE_BYTES, "bytes of an encoded image"),
    "RECORD_BYTES": Limit(RECORD_BYTES, "bytes of a JSON record in a run folder"),
    "CONFIG_BYTES": Limit(CONFIG_BYTES, "bytes of a --config file"),
    "EXPRESSION": Limit(EXPRESSION, "characters of a surface written as text"),
    "CHOICES": Limit(CHOICES, "choices of a hyper-parameter in a space"),
    "WHOLE": Limit(WHOLE, "a whole number in a space, either sign"),
    "GRID": Limit(GRID, "points of a grid (--sampler grid)"),
    "TRIALS": Limit(TRIALS, "--trials"),
    "EPOCHS": Limit(EPOCHS, "--epochs"),
    "WORKERS": Limit(WORKERS, "--workers, processes of one machine"),
    "MEMBERS": Limit(MEMBERS, "members of an ensemble"),
    "LAYERS": Limit(LAYERS, "layers of mlp and cnn, blocks of a stage of resnet"),
    "PARAMETERS": Limit(PARAMETERS, "parameters of mlp, cnn and resnet"),
}
"""Every limit by its name, for the documentation.

Besides: what a table's cells, a CSV, a Parquet file or a file of weights will take must fit into the memory that is free,
and a prepared image has at most 4,096 pixels a side.
"""
