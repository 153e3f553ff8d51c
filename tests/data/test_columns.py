import numpy as np
import pandas as pd
import pytest

from ravine.data.columns import CategoricalColumn, NumericColumn
from ravine.errors import DataError


def place(*rows):
    return f"row {rows[0] + 1}"


def test_a_number_is_standardized_and_a_missing_one_is_the_median():
    column = NumericColumn(name="age", median=10.0, mean=8.0, std=2.0)
    cells = pd.Series([12, "8", None, "?"], dtype=object)
    assert column.encode(cells, place)[:, 0].tolist() == [2.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("cell", "said"), [("old", "row 2: column 'age' is 'old'"), (np.inf, "infinite"), (1e300, "far too large")]
)
def test_a_cell_that_is_no_finite_number_is_named(cell, said):
    column = NumericColumn(name="age", median=0.0, mean=0.0, std=1e-30)
    with pytest.raises(DataError, match=said):
        column.encode(pd.Series([1, cell], dtype=object), place)


def test_a_category_is_one_place_and_an_unseen_one_is_none():
    column = CategoricalColumn(name="c", categories=("a", "missing"))
    hot = column.encode(pd.Series(["a", None, "zebra", " a "], dtype=object), place)
    assert hot.tolist() == [[1, 0], [0, 1], [0, 0], [1, 0]]


def test_rare_and_unseen_categories_share_the_rest():
    column = CategoricalColumn(name="c", categories=("a", "b"), rest=True)
    assert column.encode(pd.Series(["b", "zebra"]), place).tolist() == [[0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("cells", [[1, 2], [1.0, 2.0], ["1", "2"], ["1.0", "2.0"]])
def test_a_number_as_category_is_found_however_it_is_written(cells):
    column = CategoricalColumn(name="c", categories=("1", "2"))
    assert column.encode(pd.Series(cells), place).tolist() == [[1, 0], [0, 1]]


def test_categories_must_differ():
    with pytest.raises(ValueError, match="twice"):
        CategoricalColumn(name="c", categories=("a", "a"))
