import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ravine.data import StreamedSplit, load
from ravine.data.image_sets import capped
from ravine.errors import DataError

LABELS = [i % 2 for i in range(30)]


def test_training_pixels_are_standardized(image_parquet, encoded):
    data = load(image_parquet([encoded(i, mode="RGB") for i in range(30)], LABELS))
    assert data.input_shape == (3, 4, 5)
    torch.testing.assert_close(data.train.x.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(data.train.x.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_streamed_rows_are_the_bits_that_would_be_in_memory(image_parquet, encoded):
    path = image_parquet([encoded(i) for i in range(30)], LABELS)
    held, streamed = load(path), load(path, memory_limit=100)
    assert isinstance(streamed.train, StreamedSplit)
    assert any("read when asked for" in note for note in streamed.notes)
    index = torch.tensor([7, 0, 7, 3])
    for one, other in zip(held.train.batch(index), streamed.train.batch(index), strict=True):
        assert torch.equal(one, other)
    assert streamed.fingerprint == held.fingerprint
    assert streamed.preprocessing == held.preprocessing


def test_rows_keep_their_labels(image_parquet):
    """Images whose brightness is their class: a row that lost its label would show."""

    def flat(value):
        file = io.BytesIO()
        Image.new("L", (3, 3), value).save(file, "PNG")
        return file.getvalue()

    data = load(image_parquet([flat(200 * (i % 2)) for i in range(30)], LABELS))
    for split in (data.train, data.validation, data.test):
        assert torch.equal((split.x.mean(dim=(1, 2, 3)) > 0).long(), split.y)


def test_one_colour_image_makes_the_set_colour_and_is_told(image_parquet, encoded):
    images = [encoded(i, mode="RGB" if i % 3 else "L") for i in range(30)]
    data = load(image_parquet(images, LABELS))
    assert data.input_shape[0] == 3
    assert any("modes L, RGB: all read as RGB" in note for note in data.notes)


def test_images_of_several_sizes_get_the_commonest(image_parquet, encoded):
    images = [encoded(i, 9, 9) if i % 5 == 0 else encoded(i) for i in range(30)]
    data = load(image_parquet(images, LABELS))
    assert data.input_shape == (1, 4, 5)
    assert any("resized to 5 x 4 pixels" in note for note in data.notes)


@pytest.mark.parametrize(("size", "used"), [((64, 64), (64, 64)), ((128, 64), (64, 32)), ((2000, 1), (64, 1))])
def test_no_side_is_longer_than_64_pixels(size, used):
    assert capped(size) == used


def test_a_corrupt_image_is_named_by_file_and_row(image_parquet, encoded):
    images = [encoded(i) for i in range(30)]
    images[7] = images[7][:50]
    with pytest.raises(DataError, match=r"^row 8 of set.parquet \(counting from 1\): the image cannot be read"):
        load(image_parquet(images, LABELS))


def test_a_row_of_a_parquet_file_cannot_point_at_a_file_of_this_machine(image_parquet, image_folder):
    file = str(next(image_folder().glob("cat/*.png")))
    path = image_parquet([b"x"] * 30, LABELS)
    rows = pa.array([{"bytes": None, "path": file}] * 30, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pq.read_table(path).set_column(0, "image", rows), path)
    with pytest.raises(DataError, match="no image bytes"):
        load(path)


def test_missing_labels_are_named_by_row(image_parquet, encoded):
    with pytest.raises(DataError, match=r"row 4 of set.parquet .*no value in the target column 'label'"):
        load(image_parquet([encoded(i) for i in range(30)], [*LABELS[:3], None, *LABELS[4:]]))


def test_numbers_can_be_predicted_from_images(image_parquet, encoded):
    data = load(image_parquet([encoded(i) for i in range(30)], np.linspace(0, 1, 30).tolist(), names=None))
    assert (data.task, data.outputs) == ("regression", 1)


@pytest.mark.needs_shared_data
def test_mnist_has_the_published_mean_and_spread(shared):
    data = load(str(shared / "mnist" / "test-00000-of-00001.parquet"))
    assert data.input_shape == (1, 28, 28)
    assert data.classes == tuple("0123456789")
    assert data.preprocessing.mean[0] == pytest.approx(0.1325, abs=0.005)  # of the test file's digits
    assert data.preprocessing.std[0] == pytest.approx(0.31, abs=0.005)
