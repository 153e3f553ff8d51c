"""A finished folder put to use: raw examples in, names or numbers out, alone or as an ensemble."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ravine.data import Data
from ravine.errors import FolderError, InputError, ModelError
from ravine.training import Ensemble, Kept, combine, load, load_model

Finish = Callable[[Data], tuple[Path, list[Kept]]]


def raw(features: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(11, features)).astype(np.float32)


def test_classes_come_back_by_name_with_their_probabilities(finish: Finish, three_classes: Data) -> None:
    folder, _ = finish(three_classes)
    best, x = load(folder), raw(5)
    shares = best.predict_proba(x)
    assert shares.shape == (11, 3)
    assert shares.sum(1) == pytest.approx(np.ones(11), abs=1e-6)
    assert best.classes == ("0", "1", "2")
    assert best.predict(x).tolist() == [best.classes[i] for i in shares.argmax(1)]
    wanted = best.module(three_classes.preprocessing.to_tensor(x)).softmax(1).detach()
    torch.testing.assert_close(torch.from_numpy(shares), wanted)


def test_numbers_come_back_in_units_of_the_target(finish: Finish, numbers: Data) -> None:
    folder, _ = finish(numbers)
    best, x = load(folder), raw(4)
    target = numbers.preprocessing.target
    wanted = best.module(numbers.preprocessing.to_tensor(x)).squeeze(1).detach() * target.std + target.mean
    assert best.predict(x) == pytest.approx(wanted.numpy(), rel=1e-5)
    assert 20 < best.predict(x).mean() < 60
    with pytest.raises(InputError, match="write predict"):
        best.predict_proba(x)


def test_the_ensemble_is_the_mean_of_its_checkpoints(finish: Finish, three_classes: Data) -> None:
    folder, kept = finish(three_classes)
    several, x = load(str(folder), ensemble=True), raw(5)
    assert isinstance(several.module, Ensemble)
    alone = []
    for one in kept:
        module = load(folder).module
        module.load_state_dict(one.state)
        alone.append(module(three_classes.preprocessing.to_tensor(x)).softmax(1).detach().numpy())
    assert several.predict_proba(x) == pytest.approx(np.mean(alone, axis=0), abs=1e-6)
    assert abs(alone[0] - alone[1]).max() > 1e-3


def test_more_examples_than_a_chunk_come_back_whole(finish: Finish, three_classes: Data) -> None:
    best = load(finish(three_classes)[0])
    many = np.tile(raw(5), (200, 1))
    np.testing.assert_allclose(best.predict_proba(many), np.tile(best.predict_proba(raw(5)), (200, 1)), atol=1e-6)


def test_a_folder_that_is_not_there_or_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="there is no folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FolderError, match="give the folder of a finished run"):
        load(tmp_path / "empty")


@pytest.mark.parametrize(
    "content",
    [
        '{"members": ["../best/model"]}',
        '{"members": ["/etc/passwd"]}',
        '{"members": [".."]}',
        '{"members": ["."]}',
        '{"members": [""]}',
        '{"members": ["trial-0", 3]}',
        '{"members": [["trial-0"]]}',
        '{"members": "trial-0"}',
        '{"members": {"trial-0": 1}}',
        '{"members": []}',
        '{"members": null}',
        "{}",
        "[]",
        "3",
        "{",
        '{"members": ["nowhere"], "weights": [1]}',
        '{"members": ["trial\\u0000"], "weights": [1]}',
        '{"members": ["trial-0"]}',
        '{"members": ["trial-0"], "weights": [1, 2]}',
        '{"members": ["trial-0"], "weights": [0]}',
        '{"members": ["trial-0"], "weights": ["1"]}',
        '{"members": ["trial-0"], "weights": [NaN]}',
    ],
)
def test_a_list_of_members_that_leads_elsewhere_or_is_none_is_refused(
    finish: Finish, three_classes: Data, content: str
) -> None:
    folder, _ = finish(three_classes)
    (folder / "ensemble.json").write_text(content)
    with pytest.raises(FolderError) as caught:
        load(folder, ensemble=True)
    assert "\n" not in str(caught.value)
    assert load(folder).task == "classification"  # the best model alone needs no list


def test_models_of_two_runs_answer_with_their_average(finish: Finish, three_classes: Data) -> None:
    folder, _ = finish(three_classes)
    one = load(folder)
    other = dataclasses.replace(one, module=load_model(folder / "checkpoints" / "trial-1")[0])
    both = combine([one, other], weights=[3, 1])
    x = raw(5)
    expected = 0.75 * one.predict_proba(x) + 0.25 * other.predict_proba(x)
    assert both.predict_proba(x) == pytest.approx(expected, abs=1e-6)
    assert both.classes == one.classes


def test_models_that_answer_otherwise_are_not_averaged(finish: Finish, three_classes: Data) -> None:
    one = load(finish(three_classes)[0])
    with pytest.raises(ModelError, match="at least one model, got none"):
        combine([])
    target = one.preprocessing.target
    turned = target.model_copy(update={"classes": target.classes[::-1]})
    other = dataclasses.replace(one, preprocessing=one.preprocessing.model_copy(update={"target": turned}))
    with pytest.raises(
        ModelError, match=r"model 2 answers with the classes .* and the first with the classes .*one order"
    ):
        combine([one, other])
    number = dataclasses.replace(one, task="regression")
    with pytest.raises(ModelError, match="model 2 answers"):
        combine([one, number])
    scaled = one.preprocessing.model_copy(update={"target": target.model_copy(update={"name": "another"})})
    with pytest.raises(ModelError, match="prepared otherwise"):
        combine([one, dataclasses.replace(one, preprocessing=scaled)])
