import numpy as np
import pandas as pd
import pytest

from ravine.data import load
from ravine.errors import DataError


def test_statistics_are_of_training_rows_alone(write, frame):
    before = load(write(frame), target="y")
    column = before.preprocessing.columns[0]
    raw = frame["size"].to_numpy()
    trains = np.isin(((raw - column.mean) / column.std).astype(np.float32), before.train.x[:, 0].numpy())
    assert trains.sum() == len(before.train)
    frame.loc[~trains, "size"] += 1000
    after = load(write(frame), target="y")
    assert after.preprocessing == before.preprocessing
    assert after.test.x[:, 0].min() > 100


def test_filled_cells_are_counted_in_the_notes(write, frame):
    frame.loc[[1, 2, 3], "size"] = np.nan
    frame.loc[[4, 5], "colour"] = "?"
    notes = load(write(frame), target="y").notes
    assert any(note.startswith("size: 3 missing cells filled with the training median") for note in notes)
    assert any(note.startswith("colour: 2 missing cells are a category of their own") for note in notes)


def test_a_text_among_numbers_is_named_by_row_and_column(write, frame):
    frame["size"] = frame["size"].astype(object)
    frame.loc[7, "size"] = "big"
    with pytest.raises(DataError, match=r"row 9 of table.csv .*column 'size' is 'big'.*--categorical size"):
        load(write(frame), target="y")


def test_a_column_of_mixed_cells_is_read_when_named_categorical(write, frame):
    frame["count"] = frame["count"].astype(object)
    frame.loc[7, "count"] = "many"
    data = load(write(frame), target="y", categorical=["count"])
    assert "3" in data.preprocessing.columns[1].categories


def test_numbers_are_categories_when_the_caller_says_so(write, frame):
    plain, named = (load(write(frame), target="y", categorical=names) for names in ((), ["count"]))
    assert plain.input_shape == (1 + 1 + 3,)
    assert named.input_shape == (1 + frame["count"].nunique() + 3,)


def test_an_unknown_categorical_column_is_refused(write, frame):
    with pytest.raises(DataError, match="--categorical colourr: there is no such column; did you mean colour"):
        load(write(frame), target="y", categorical=["colourr"])


def test_a_text_that_names_rows_is_left_out(write, frame):
    frame["id"] = [f"user{i}" for i in range(len(frame))]
    data = load(write(frame), target="y")
    assert data.input_shape == (5,)
    assert any(note.startswith("id: left out") for note in data.notes)


def test_only_the_hundred_commonest_categories_have_a_place(write):
    rng = np.random.default_rng(0)
    words = [f"w{min(i, 149)}" for i in rng.geometric(0.02, 3000)]
    data = load(write(pd.DataFrame({"word": words, "y": rng.choice(["p", "q"], 3000)})), target="y")
    assert data.input_shape == (101,)
    assert any("the 100 commonest are kept" in note for note in data.notes)
    assert data.train.x.sum(dim=1).unique().tolist() == [1.0]


def test_an_infinite_number_is_named(write, frame):
    frame.loc[4, "size"] = np.inf
    with pytest.raises(DataError, match=r"row 6 of table.csv .*'size' holds an infinite"):
        load(write(frame), target="y")


def test_numbers_beyond_measure_are_refused_without_a_warning(write, frame):
    frame["size"] = np.where(frame["size"] > 5, 1.7e308, -1.7e308)
    with pytest.raises(DataError, match="too large to standardize"):
        load(write(frame), target="y")


def test_a_constant_column_is_zero(write, frame):
    frame["size"] = 0.1
    data = load(write(frame), target="y")
    assert data.train.x[:, 0].abs().max() < 1e-6
    assert data.preprocessing.columns[0].std == 1.0


def test_an_empty_column_is_left_out(write, frame):
    frame["nothing"] = None
    assert "nothing: left out, no training row has a value" in load(write(frame), target="y").notes


def test_a_table_of_the_target_alone_is_refused(write, frame):
    with pytest.raises(DataError, match="no column is left to learn from"):
        load(write(frame[["y"]]), target="y")


def test_truth_values_are_numbers(write, frame):
    frame["flag"] = frame["count"] > 4
    column = load(write(frame), target="y").preprocessing.columns[-1]
    assert (column.name, column.kind) == ("flag", "numeric")
