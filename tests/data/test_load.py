import subprocess
import sys

import pytest
import torch

from ravine.data import StreamedSplit, load, read_labelled
from ravine.errors import DataError


def test_importing_the_package_leaves_the_heavy_libraries_alone():
    code = (
        "import sys, ravine.data; print([m for m in ('pandas', 'sklearn', 'datasets', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("spec", "said"), [("digitz", "did you mean digits"), ("nowhere/x.csv", "no file or folder 'nowhere/x.csv'")]
)
def test_a_place_where_nothing_is_is_named(spec, said):
    with pytest.raises(DataError, match=said):
        load(spec)


def test_a_kind_of_file_that_is_not_understood_says_what_is(write):
    with pytest.raises(DataError, match=r"notes.txt is not a kind of file that can be used; understood are"):
        load(write("hello", "notes.txt"))


def test_a_folder_with_nothing_usable_says_what_is_understood(tmp_path):
    with pytest.raises(DataError, match="holds nothing that can be used; understood are"):
        load(str(tmp_path))


def test_too_few_rows_are_refused(write, frame):
    with pytest.raises(DataError, match="9 rows; at least 10"):
        load(write(frame.head(9)), target="y")


def test_one_class_is_refused(write, frame):
    with pytest.raises(DataError, match="'y' is 'p' in every row"):
        load(write(frame.assign(y="p")), target="y")


def test_a_given_test_file_changes_nothing_that_is_learned(write, frame):
    path = write(frame)
    further = frame.head(13).assign(size=999.0)
    data = load(path, target="y", test=write(further, "further.csv"))
    other = load(path, target="y", test=write(frame.tail(5), "other.csv"))
    assert len(data.test) == 13
    assert data.preprocessing == other.preprocessing
    assert torch.equal(data.train.x, other.train.x)
    assert torch.equal(data.test.x, data.preprocessing.to_tensor(further))


def test_a_class_that_only_the_test_file_has_is_named(write, frame):
    further = frame.head(12).assign(y=["p", "zebra"] * 6)
    with pytest.raises(DataError, match=r"rows 3, 5, 7 of further.csv .*class 'zebra'"):
        load(write(frame), target="y", test=write(further, "further.csv"))


def test_a_test_file_of_another_kind_is_refused(write, frame):
    frame = frame.rename(columns={"y": "target"})
    with pytest.raises(DataError, match=r"--test digits holds arrays, but .*table.csv a table"):
        load(write(frame), target="target", test="digits")


def test_a_folder_of_tables_brings_its_own_splits(write, frame, tmp_path):
    write(frame, "set/train.csv")
    write(frame.head(11), "set/validation.csv")
    write(frame.head(7), "set/test.csv")
    data = load(str(tmp_path / "set"), target="y")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [60, 11, 7]


def test_a_rare_class_trains_and_is_told(write, frame):
    frame.loc[0, "y"] = "rare"
    data = load(write(frame), target="y")
    assert "classes with too few rows to be in every split are in training only: rare" in data.notes
    assert 2 in data.train.y


def test_a_streamed_table_holds_the_same_bits(write, frame):
    path = write(frame)
    held, streamed = load(path, target="y"), load(path, target="y", memory_limit=10)
    assert isinstance(streamed.test, StreamedSplit)
    assert streamed.fingerprint == held.fingerprint
    index = torch.tensor([4, 1, 4])
    assert torch.equal(held.train.batch(index)[0], streamed.train.batch(index)[0])


def test_regression_targets_are_standardized(write, frame):
    data = load(write(frame), target="size")
    assert (data.task, data.outputs, data.classes) == ("regression", 1, ())
    assert abs(float(data.train.y.mean())) < 1e-6
    assert float(data.train.y.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_a_labelled_file_is_read_in_the_models_units(write, frame):
    path = write(frame)
    classes, numbers = load(path, target="y"), load(path, target="size")
    x, y = read_labelled(classes.preprocessing, path)
    assert torch.equal(x, classes.preprocessing.to_tensor(frame))
    assert [classes.classes[i] for i in y] == frame["y"].tolist()
    _, y = read_labelled(numbers.preprocessing, path)
    assert numbers.preprocessing.target.restore(y).numpy() == pytest.approx(frame["size"].to_numpy(), abs=1e-5)


def test_a_labelled_folder_gives_its_test_split(image_parquet, encoded, tmp_path):
    image_parquet([encoded(i) for i in range(30)], [0, 1] * 15, file="set/train-0.parquet")
    image_parquet([encoded(i) for i in range(6)], [1, 0] * 3, ("b", "a"), file="set/test-0.parquet")
    preprocessing = load(str(tmp_path / "set" / "train-0.parquet")).preprocessing
    x, y = read_labelled(preprocessing, str(tmp_path / "set" / "test-0.parquet"))
    assert x.shape == (6, 1, 4, 5)
    assert len(read_labelled(preprocessing, str(tmp_path / "set"))[1]) == 6
    assert y.tolist() == [0, 1] * 3  # by name, whatever the order in the file


def test_a_labelled_source_of_another_kind_is_refused(write, frame):
    with pytest.raises(DataError, match="trained on a table"):
        read_labelled(load(write(frame), target="y").preprocessing, "digits")
    with pytest.raises(DataError, match="trained on arrays"):
        read_labelled(load("digits").preprocessing, write(frame))


def test_digits_can_be_read_as_labelled_data():
    x, y = read_labelled(load("digits").preprocessing, "digits")
    assert (x.shape, y.shape) == ((1797, 1, 8, 8), (1797,))


@pytest.mark.needs_shared_data
@pytest.mark.parametrize(
    ("name", "features", "classes"),
    [
        ("banknote_authentication", 4, ("0", "1")),
        ("german_credit", 61, ("1", "2")),
        ("ionosphere", 34, ("b", "g")),
        ("pima_indians_diabetes", 8, ("0", "1")),
        ("sonar", 60, ("M", "R")),
        ("wheat_seeds", 7, ("1", "2", "3")),
    ],
)
def test_the_six_tables_are_understood(shared, name, features, classes):
    data = load(str(shared / "tabular" / f"{name}.csv"), target="target")
    assert (data.input_shape, data.classes) == ((features,), classes)
    assert torch.isfinite(data.train.x).all()
