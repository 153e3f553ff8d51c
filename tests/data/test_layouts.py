import shutil

import pytest

from ravine.data import load
from ravine.data.layouts import find_layout, split_name
from ravine.errors import DataError


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00001.parquet", "train"),
        ("test.csv", "test"),
        ("valid_2.parquet", "validation"),
        ("dev", "validation"),
        ("trainer.csv", None),
        ("prices.csv", None),
    ],
)
def test_a_split_is_told_by_the_first_word_of_a_name(name, split):
    assert split_name(name) == split


def test_images_by_class_are_split_whatever_the_files_are_called(image_folder):
    data = load(str(image_folder("pets [1]")))  # its files are named test_0.png, ...
    assert data.classes == ("cat", "dog")
    assert sum(len(split) for split in (data.train, data.validation, data.test)) == 20


def test_folders_named_train_and_test_are_those_splits(image_folder):
    root = image_folder("set/train").parent
    shutil.copytree(root / "train", root / "test")
    (root / "test" / "cat" / "test_0.png").unlink()
    data = load(str(root))
    assert len(data.test) == 19
    assert len(data.train) + len(data.validation) == 20


def test_stray_files_among_images_are_no_images(image_folder):
    folder = image_folder()
    (folder / "cat" / "notes.txt").write_text("x")
    (folder / "metadata.csv").write_text("file_name,weight\n")
    assert load(str(folder)).classes == ("cat", "dog")


def test_a_corrupt_image_in_a_folder_is_named_by_its_file(image_folder):
    folder = image_folder()
    (folder / "dog" / "test_3.png").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"dog/test_3.png: the image cannot be read \(not an image"):
        load(str(folder))


def test_parquet_files_named_after_splits_are_these(image_parquet, encoded, tmp_path):
    for split, count in (("train", 30), ("validation", 8), ("test", 6)):
        image_parquet([encoded(i) for i in range(count)], [i % 2 for i in range(count)], file=f"s/{split}-0.parquet")
    data = load(str(tmp_path / "s"))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [30, 8, 6]


def test_a_lone_file_is_divided_whatever_it_is_called(image_parquet, encoded, tmp_path):
    image_parquet([encoded(i) for i in range(30)], [0, 1] * 15, file="s/test-0.parquet")
    assert set(find_layout(str(tmp_path / "s")).splits) == {"train"}


@pytest.mark.parametrize(
    ("options", "said"), [({"target": "labels"}, "did you mean label"), ({"categorical": ["x"]}, "is no table")]
)
def test_options_that_do_not_fit_images_are_refused(image_folder, options, said):
    with pytest.raises(DataError, match=said):
        load(str(image_folder()), **options)


def test_options_that_do_not_fit_digits_are_refused():
    with pytest.raises(DataError, match="leave --target size out"):
        load("digits", target="size")


def test_a_lone_table_named_test_is_divided(write, frame, tmp_path):
    write(frame, "t/test.csv")
    assert len(load(str(tmp_path / "t"), target="y").train) == 38
