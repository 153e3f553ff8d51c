from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ravine.data import ImagePreprocessing, Target
from ravine.errors import DataError

COLOUR = ImagePreprocessing(target=Target(), height=4, width=5, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
GREY = ImagePreprocessing(target=Target(), height=4, width=5, mean=(0.5,), std=(0.5,))
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)


def expected(pixels):
    unit = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).double() / 255
    return ((unit - torch.tensor(COLOUR.mean)[:, None, None]) / torch.tensor(COLOUR.std)[:, None, None]).float()


@pytest.mark.parametrize(
    "raw",
    [
        PIXELS,
        PIXELS.transpose(0, 3, 1, 2),
        torch.from_numpy(PIXELS),
        PIXELS.transpose(0, 3, 1, 2) / 255,
        [Image.fromarray(each) for each in PIXELS],
        list(PIXELS),
    ],
    ids=["NHWC", "NCHW", "tensor", "floats", "PIL", "list of arrays"],
)
def test_every_layout_gives_the_same_tensor(raw):
    torch.testing.assert_close(COLOUR.to_tensor(raw), expected(PIXELS), rtol=1e-5, atol=1e-6)  # float32 division


@pytest.mark.parametrize("raw", [PIXELS[0], PIXELS[0].transpose(2, 0, 1), Image.fromarray(PIXELS[0])])
def test_one_image_is_a_batch_of_one(raw):
    assert torch.equal(COLOUR.to_tensor(raw), COLOUR.to_tensor(PIXELS)[:1])


def test_files_are_read_by_path(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(2)]
    for path, pixels in zip(paths, PIXELS, strict=False):
        Image.fromarray(pixels).save(path)
    assert torch.equal(COLOUR.to_tensor([str(paths[0]), paths[1]]), COLOUR.to_tensor(PIXELS[:2]))


def test_grey_images_need_no_channel():
    grey = PIXELS[..., 0]
    assert torch.equal(GREY.to_tensor(grey), GREY.to_tensor(grey[:, None]))
    assert torch.equal(GREY.to_tensor(grey[0]), GREY.to_tensor(grey)[:1])
    assert GREY.to_tensor(grey / 255).shape == (6, 1, 4, 5)


def test_colour_and_size_are_fitted_to_the_model():
    assert GREY.to_tensor(PIXELS).shape == (6, 1, 4, 5)
    assert COLOUR.to_tensor(PIXELS[..., 0]).shape == (6, 3, 4, 5)
    assert COLOUR.to_tensor(np.zeros((2, 9, 7, 4), np.uint8)).shape == (2, 3, 4, 5)


def test_the_callers_floats_are_left_alone():
    raw = torch.rand(2, 3, 4, 5)
    kept = raw.clone()
    COLOUR.to_tensor(raw)
    assert torch.equal(raw, kept)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (np.zeros((2, 3, 4, 6)), r"shape \[2, 3, 4, 6\]; this model needs \[N, 3, 4, 5\]"),
        (np.zeros((5,), np.uint8), r"shape \[5\]"),
        (np.full((1, 3, 4, 5), 255.0), "divide by 255"),
        (np.zeros((1, 3, 4, 5), np.int64), "dtype int64"),
        ({"image": 1}, "got dict"),
        (Path("nowhere.png"), "nowhere.png: the image cannot be read"),
    ],
)
def test_what_is_no_such_image_is_refused(raw, said):
    with pytest.raises(DataError, match=said):
        COLOUR.to_tensor(raw)
