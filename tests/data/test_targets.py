import numpy as np
import pytest
import torch

from ravine.data.targets import check_complete, decide_task, encode, fit_target, label_array
from ravine.errors import DataError


def labels(values):
    return label_array(np.asarray(values), "y")


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["cat", "dog"] * 10, "classification"),
        ([True, False] * 10, "classification"),
        ([0, 1, 2, 3] * 5, "classification"),
        ([1.0, 2.0] * 10, "classification"),
        (list(range(20)), "regression"),  # whole, but every row differs
        (list(range(30)) * 4, "regression"),  # whole, repeated, but more than 20 values
        ([0.5, 1.5] * 10, "regression"),
    ],
)
def test_the_task_is_told_apart_by_the_target(values, task):
    assert decide_task(labels(values), None) == task


def test_the_caller_overrides_the_task():
    assert decide_task(labels([0, 1, 2, 3] * 5), "regression") == "regression"
    assert decide_task(labels([0.5, 1.5] * 10), "classification") == "classification"


@pytest.mark.parametrize(
    ("values", "wanted", "said"),
    [
        (["cat", "dog"] * 10, "regression", "y[0]: the target 'y' is 'cat', and regression needs a number"),
        (np.linspace(0, 1, 20), "classification", "20 different values in 20 rows"),
        ([f"name{i}" for i in range(20)], None, "20 different values in 20 rows"),
        (["same"] * 20, None, "'same' in every row"),
        ([str(i) for i in range(40)] + ["oops"], None, "y[40]: the target 'y' is 'oops'"),
    ],
)
def test_an_impossible_target_is_refused(values, wanted, said):
    with pytest.raises(DataError, match=said.replace("[", r"\[").replace("]", r"\]")):
        decide_task(labels(values), wanted)


def test_classes_are_named_in_natural_order():
    target = fit_target(labels([10, 9, 1] * 5), np.arange(15), "classification")
    assert target.classes == ("1", "9", "10")
    assert encode(labels([9, 10]), target).tolist() == [1, 2]


def test_regression_is_standardized_by_training_rows_alone():
    values = np.array([1.0, 3.0, 100.0])
    target = fit_target(labels(values), np.array([0, 1]), "regression")
    assert (target.mean, target.std) == (2.0, 1.0)
    scaled = encode(labels(values), target)
    assert scaled.dtype == torch.float32
    assert target.restore(scaled).tolist() == [1.0, 3.0, 100.0]


def test_an_unknown_class_is_named_with_its_row():
    target = fit_target(labels(["a", "b"] * 5), np.arange(10), "classification")
    with pytest.raises(DataError, match=r"y\[2\]: class 'zebra' was not among the training classes \(a, b\)"):
        encode(labels(["a", "b", "zebra"]), target)


@pytest.mark.parametrize("values", [[1.0, np.nan, 2.0], np.array(["a", None, "b"], dtype=object), [1.0, np.inf, 2.0]])
def test_a_missing_or_infinite_label_is_named(values):
    with pytest.raises(DataError, match=r"y\[1\]"):
        check_complete(labels(values))


def test_a_constant_number_cannot_be_predicted():
    with pytest.raises(DataError, match="in every training row"):
        fit_target(labels([2.0, 2.0, 3.0]), np.array([0, 1]), "regression")


def test_a_number_far_beyond_the_training_targets_is_refused_without_a_warning():
    target = fit_target(labels([1.0, 1.5, 2.0]), np.arange(3), "regression")
    with pytest.raises(DataError, match=r"y\[1\]: the target 'y' is far larger"):
        encode(labels([1.0, 1e300]), target)
