import numpy as np
import pytest

from ravine.data.splits import split_rows


def test_every_row_is_in_exactly_one_split():
    rows = split_rows(np.arange(103) % 3, 103, seed=0)
    together = np.concatenate([rows.train, rows.validation, rows.test])
    assert sorted(together) == list(range(103))


def test_test_takes_a_fifth_and_validation_a_fifth_of_the_rest():
    rows = split_rows(None, 1000, seed=0)
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (640, 160, 200)


def test_classes_keep_their_shares_in_every_split():
    classes = np.repeat([0, 1, 2], [500, 300, 200])
    rows = split_rows(classes, 1000, seed=3)
    for split in (rows.train, rows.validation, rows.test):
        shares = np.bincount(classes[split]) / len(split)
        np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=1 / len(split))


def test_the_seed_alone_decides():
    classes = np.arange(200) % 4
    again = [split_rows(classes, 200, seed=seed).test.tolist() for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


def test_evaluation_splits_stop_at_ten_thousand_rows():
    rows = split_rows(np.arange(200_000) % 10, 200_000, seed=0)
    assert (len(rows.validation), len(rows.test)) == (10_000, 10_000)


def test_a_class_too_rare_for_three_splits_trains_and_is_told():
    rows = split_rows(np.array([0] * 20 + [1, 1]), 22, seed=0)
    assert rows.rare == (1,)
    assert {20, 21} <= set(rows.train.tolist())


def test_a_class_of_three_rows_is_in_every_split():
    classes = np.array([0] * 50 + [1] * 3)
    rows = split_rows(classes, 53, seed=0)
    assert rows.rare == ()
    assert all(1 in classes[split] for split in (rows.train, rows.validation, rows.test))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_part_of_its_own_takes_no_rows(part):
    rows = split_rows(np.arange(50) % 2, 50, seed=0, **{part: False})
    assert len(getattr(rows, part)) == 0
    assert len(rows.train) + len(rows.validation) + len(rows.test) == 50
