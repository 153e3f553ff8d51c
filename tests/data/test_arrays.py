import numpy as np
import pandas as pd
import pytest
import torch

from ravine.data import from_arrays, load
from ravine.errors import DataError

Y = np.arange(60) % 3


def test_features_are_standardized_one_by_one():
    x = np.random.default_rng(0).normal([1e6, -3], [2, 0.1], (60, 2))
    data = from_arrays(x, Y)
    torch.testing.assert_close(data.train.x.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(data.train.x.std(0, correction=0), torch.ones(2), atol=1e-5, rtol=0)
    assert "each feature standardized" in data.notes[0]


@pytest.mark.parametrize("shape", [(60, 4, 5), (60, 3, 4, 5)])
def test_bytes_are_images_standardized_by_channel(shape):
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = from_arrays(x, Y)
    channels = 1 if len(shape) == 3 else 3
    assert data.input_shape == (channels, 4, 5)
    assert data.train.x.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert 0 < min(data.preprocessing.mean) < max(data.preprocessing.mean) < 1 or channels == 1
    assert torch.allclose(data.preprocessing.to_tensor(x), data.preprocessing.to_tensor(x / 255), atol=1e-6)


def test_anything_else_is_standardized_as_a_whole():
    data = from_arrays(torch.rand(60, 2, 3, 4, 5), Y)
    assert len(data.preprocessing.mean) == 1
    assert "as one" in data.notes[0]


def test_raw_examples_become_what_training_saw():
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    data = from_arrays(x, Y)
    prepared = data.preprocessing.to_tensor(x)
    assert all((row == prepared).all(dim=1).any() for row in data.test.x)
    assert torch.equal(data.preprocessing.to_tensor(x[0]), prepared[:1])


def test_a_given_test_part_is_used_as_it_is():
    x = np.random.default_rng(0).normal(size=(60, 4))
    plain = from_arrays(x, Y, test=(x[:7] + 100, Y[:7]))
    moved = from_arrays(x, Y, test=(x[:7] + 900, Y[:7]))
    assert plain.test.y.tolist() == Y[:7].tolist()
    assert plain.preprocessing == moved.preprocessing
    assert len(plain.train) + len(plain.validation) == 60


def test_frames_and_names_of_classes_are_understood():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)))
    data = from_arrays(frame, np.array(["one", "two", "three"])[Y])
    assert data.classes == ("one", "three", "two")


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.zeros((60, 4), np.int64), Y, "dtype int64: whole numbers look like token ids"),
        (np.array([["a", 1]] * 60, dtype=object), Y, "dtype object"),
        (np.zeros((60, 32, 32, 3)), Y, "write x.transpose"),
        (np.zeros((60, 4)), Y[:59], "60 examples and y 59"),
        (np.zeros(60), Y, r"shape \[60\]"),
        (np.zeros((60, 4)), np.zeros((60, 2)), r"y has shape \[60, 2\]"),
        (np.full((60, 4), np.nan), Y, r"x\[0\] holds nan"),
        (np.zeros((9, 4)), Y[:9], "9 rows; at least 10"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(x, y, said):
    with pytest.raises(DataError, match=said):
        from_arrays(x, y)


def test_digits_are_images_and_read_as_scikit_learn_gives_them():
    from sklearn.datasets import load_digits

    data = load("digits")
    assert (data.task, data.input_shape, data.outputs) == ("classification", (1, 8, 8), 10)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [1150, 288, 359]
    prepared = data.preprocessing.to_tensor(load_digits().images)
    assert prepared.shape == (1797, 1, 8, 8)
    assert (data.test.x[0] == prepared).flatten(1).all(dim=1).any()


def test_another_seed_is_another_split_of_the_same_digits():
    first, again, other = (load("digits", seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_new_example_beyond_measure_is_refused_without_a_warning():
    data = from_arrays(np.random.default_rng(0).normal(size=(60, 4)), Y)
    with pytest.raises(DataError, match=r"x\[1\] holds .*far too large"):
        data.preprocessing.to_tensor(np.array([[0.0] * 4, [1e300] * 4]))


@pytest.mark.parametrize(
    ("raw", "said"), [(np.zeros((2, 5)), r"shape \[2, 5\]; this model needs \[N, 4\]"), ([["a"] * 4], "dtype <U1")]
)
def test_what_is_no_such_array_is_refused(raw, said):
    data = from_arrays(np.random.default_rng(0).normal(size=(60, 4)), Y)
    with pytest.raises(DataError, match=said):
        data.preprocessing.to_tensor(raw)


def test_bytes_and_floats_beyond_one_are_not_mixed_up():
    data = from_arrays(np.random.default_rng(0).integers(0, 256, (60, 4, 4), dtype=np.uint8), Y)
    with pytest.raises(DataError, match=r"give uint8, or floats in 0\.\.1"):
        data.preprocessing.to_tensor(np.full((1, 4, 4), 255.0))
