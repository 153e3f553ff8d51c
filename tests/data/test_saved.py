import json

import numpy as np
import pytest

from ravine.data import from_arrays, load, preprocessing_from_json
from ravine.errors import DataError


@pytest.fixture(params=["table", "image", "array"])
def learned(request, write, frame, image_parquet, encoded):
    if request.param == "table":
        return load(write(frame), target="y").preprocessing
    if request.param == "image":
        return load(image_parquet([encoded(i) for i in range(30)], [0, 1] * 15)).preprocessing
    return from_arrays(np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 2).preprocessing


def test_what_is_written_is_read_back_equal(learned):
    assert preprocessing_from_json(learned.model_dump_json()) == learned
    assert preprocessing_from_json(json.dumps(learned.model_dump(mode="json"))) == learned


def test_a_saved_field_that_is_unknown_missing_or_of_another_type_is_refused(learned):
    whole = json.loads(learned.model_dump_json())
    for name in whole:
        for damaged in ({**whole, name: None}, {**whole, "more": 1}, {**whole, name: {"__class__": "os.system"}}):
            with pytest.raises(DataError, match=r"^the saved preprocessing is damaged: [^\n]*$"):
                preprocessing_from_json(json.dumps(damaged))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"kind": "pickle"}', "[" * 100_000, '{"kind": "table", "target": NaN}']
)
def test_text_that_is_no_preprocessing_is_refused(text):
    with pytest.raises(DataError, match=r"^the saved preprocessing is damaged: [^\n]*$"):
        preprocessing_from_json(text)


@pytest.mark.parametrize(
    "change", [{"std": [0.0]}, {"std": [-1.0]}, {"mean": [0.0, 0.0]}, {"height": 10**9}, {"height": "4"}, {"width": 0}]
)
def test_a_saved_image_of_impossible_numbers_is_refused(change):
    whole = {
        "kind": "image",
        "target": {"name": "label", "classes": ["a", "b"]},
        "height": 4,
        "width": 5,
        "mean": [0.5],
        "std": [0.5],
    }
    assert preprocessing_from_json(json.dumps(whole)).input_shape == (1, 4, 5)
    with pytest.raises(DataError, match="damaged"):
        preprocessing_from_json(json.dumps({**whole, **change}))
