"""Anything a user has, as tensors with splits: tables, images, arrays; from files, folders, memory or the hub.

pandas, scikit-learn and `datasets` are imported where they are first needed, so that importing this is cheap.
"""

from ravine.data.arrays import ArrayPreprocessing, from_arrays
from ravine.data.dataset import Data, MemorySplit, Split
from ravine.data.images import ImagePreprocessing
from ravine.data.load import load, read_labelled
from ravine.data.preprocessing import Preprocessing, Target
from ravine.data.saved import preprocessing_from_json
from ravine.data.streaming import StreamedSplit
from ravine.data.tables import TablePreprocessing

__all__ = [
    "ArrayPreprocessing",
    "Data",
    "ImagePreprocessing",
    "MemorySplit",
    "Preprocessing",
    "Split",
    "StreamedSplit",
    "TablePreprocessing",
    "Target",
    "from_arrays",
    "load",
    "preprocessing_from_json",
    "read_labelled",
]
