import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ravine.data import load
from ravine.data.fit_columns import fit_columns
from ravine.data.preprocessing import Target
from ravine.data.tables import TablePreprocessing
from ravine.errors import DataError


@pytest.fixture
def learned(write, frame):
    return load(write(frame), target="y").preprocessing


def test_numbers_and_categories_agree_with_scikit_learn():
    rng = np.random.default_rng(1)
    numbers = pd.DataFrame({"a": rng.normal(1e6, 3, 80), "b": rng.exponential(1, 80)})
    numbers = numbers.mask(rng.random((80, 2)) < 0.2)
    words = pd.DataFrame({"c": rng.choice(["x", "y", "zz", "missing"], 80)})
    train = np.arange(50)
    columns, _ = fit_columns(pd.concat([numbers, words], axis=1), train, "target", (), lambda *rows: str(rows))
    ours = TablePreprocessing(target=Target(), columns=columns).to_tensor(pd.concat([numbers, words], axis=1))
    scale = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(numbers.iloc[train])
    hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(words.iloc[train])
    theirs = np.hstack([scale.transform(numbers), hot.transform(words)])
    # both compute in float64; float32 keeps 7 digits
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6, atol=1e-6)


def test_a_frame_dicts_and_a_file_become_the_same_tensor(learned, frame, write):
    from_frame = learned.to_tensor(frame)
    assert from_frame.dtype == torch.float32
    assert torch.equal(from_frame, learned.to_tensor(frame.to_dict("records")))
    assert torch.equal(from_frame, learned.to_tensor(write(frame, "again.csv")))
    assert torch.equal(from_frame[:1], learned.to_tensor(frame.iloc[0].to_dict()))


def test_columns_are_found_by_name_not_by_place(learned, frame):
    turned = frame[frame.columns[::-1]].assign(more=1)
    assert torch.equal(learned.to_tensor(turned), learned.to_tensor(frame))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([{"size": 1}], "lacks the columns count, colour; it has: size"),
        ([{"size": "huge", "count": 1, "colour": "red"}], r"row 1 \(counting from 1\): column 'size' is 'huge'"),
        ([], "no rows"),
        (np.zeros((2, 3)), "got ndarray; this model reads tables"),
        ("nowhere.csv", "there is no file nowhere.csv"),
    ],
)
def test_what_is_no_such_table_is_refused(learned, raw, said):
    with pytest.raises(DataError, match=said):
        learned.to_tensor(raw)


def test_pandas_index_written_as_a_column_is_left_out(frame, tmp_path):
    frame.to_csv(tmp_path / "t.csv")
    data = load(str(tmp_path / "t.csv"), target="y")
    assert "the unnamed first column is left out: an index written along with the data" in data.notes
    assert data.input_shape == (5,)
