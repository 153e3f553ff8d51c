from pathlib import Path

import pandas as pd
import pytest

from ravine.data import load
from ravine.data.table_files import read_table
from ravine.errors import DataError

ROWS = "1,p\n2,q\n" * 10


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,y\n", "has no rows"),
        ("a,a,y\n1,2,p\n", "more than one column named 'a'"),
        ("a,y\ncaf\u00e9,p\n".encode("latin-1"), r"not UTF-8 text \(byte 0xe9\)"),
        ("a,y\n" + ROWS + "1,p,extra\n", "line 22"),
        ("a,y\n" + "1,p,extra\n" * 20, "more cells than the header"),
        ('a,y\n"1,p\n', "cannot be read as a table"),
    ],
)
def test_an_unusable_csv_is_refused_in_one_line(write, content, said):
    path = write(content)
    with pytest.raises(DataError, match=said) as caught:
        read_table([Path(path)])
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_parquet_file_is_refused_in_one_line(write, frame):
    whole = Path(write(frame, "good.parquet")).read_bytes()
    path = write(whole[:-20], "cut.parquet")
    with pytest.raises(DataError, match=r"cut\.parquet cannot be read as Parquet: [^\n]*$"):
        load(path, target="y")


def test_csv_and_parquet_hold_the_same_table(write, frame):
    one, other = load(write(frame), target="y"), load(write(frame, "table.parquet"), target="y")
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_header_without_commas_tells_the_separator(write, separator):
    table = read_table([Path(write(f"a{separator}y\n1{separator}p\n"))])
    assert table.frame.to_dict("list") == {"a": [1], "y": ["p"]}


def test_blank_lines_do_not_shift_the_rows_that_are_named(write):
    table = read_table([Path(write("a,y\n1,p\n\n2,q\n"))])
    assert len(table.frame) == 2
    assert table.place(1) == "row 4 of table.csv (the header is row 1)"


def test_rows_of_several_files_are_found_in_their_own(write, frame):
    paths = [Path(write(frame.head(3), "one.csv")), Path(write(frame.head(4), "two.csv"))]
    assert read_table(paths).place(0, 4) == (
        "row 2 of one.csv (the header is row 1), row 3 of two.csv (the header is row 1)"
    )


def test_a_byte_order_mark_is_no_part_of_the_first_name(write):
    assert list(read_table([Path(write("\ufeffa,y\n1,p\n"))]).frame.columns) == ["a", "y"]


def test_the_target_must_be_named(write, frame):
    with pytest.raises(DataError, match="--target NAME, with NAME one of: size, count, colour, y"):
        load(write(frame))


def test_a_mistyped_target_is_answered_with_the_nearest(write, frame):
    with pytest.raises(DataError, match=r"no column 'colours' \(--target\); did you mean colour"):
        load(write(frame), target="colours")


def test_missing_labels_are_named_by_row(write, frame):
    frame.loc[[3, 8], "y"] = None
    with pytest.raises(DataError, match=r"rows 5, 10 of table.csv"):
        load(write(frame), target="y")


def test_truth_values_are_classes(write, frame):
    frame["y"] = frame["size"] > 5
    assert load(write(frame), target="y").classes == ("False", "True")


def test_a_date_does_not_stop_a_table(write, frame):
    frame["when"] = pd.date_range("2020-01-01", periods=len(frame))
    assert any(note.startswith("when: left out") for note in load(write(frame, "t.parquet"), target="y").notes)
