"""A finished folder put to use: raw examples in, names or numbers out, alone or as an ensemble."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ravine.data import Data
from ravine.errors import FolderError, InputError
from ravine.training import Ensemble, Kept, load

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
