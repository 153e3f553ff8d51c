"""From a name to a checked module: what is found, and one clear line for what is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ravine.errors import ModelError, SettingError
from ravine.models import MODELS, Model, find_factory, mlp
from ravine.regularization import StochasticDepth, dropouts, noises


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the user stands in; modules imported from it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def model(factory: object, *, outputs: int = 3, name: str = "", **settings: object) -> Model:
    return Model(name, factory, (4,), outputs, settings)


def refusal(work: object, *args: object) -> str:
    """The one line of the ModelError that work(*args) raises."""
    with pytest.raises(ModelError) as caught:
        work(*args)
    text = str(caught.value)
    assert "\n" not in text
    return text


FACTORY = "from torch import nn\ndef make(input_shape, outputs):\n    return nn.Linear(input_shape[0], outputs)\n"


def test_our_own_models_are_found_by_name() -> None:
    assert {name: find_factory(name) for name in MODELS} == MODELS


def test_a_factory_in_a_package_beside_the_user_is_found(home: Path) -> None:
    (home / "ours_h").mkdir()
    (home / "ours_h" / "nets.py").write_text(FACTORY)
    before = list(sys.path)
    assert model(find_factory("ours_h.nets:make")).check()(torch.zeros(1, 4)).shape == (1, 3)
    assert sys.path == before


def test_a_factory_in_a_file_finds_the_modules_beside_it(home: Path) -> None:
    (home / "far").mkdir()
    (home / "far" / "layers_h.py").write_text(FACTORY)
    (home / "far" / "nets.py").write_text("from layers_h import make\n")
    before = list(sys.path)
    assert model(find_factory("far/nets.py:make")).check()(torch.zeros(1, 4)).shape == (1, 3)
    assert sys.path == before


def test_a_module_that_adds_to_the_search_path_keeps_what_it_added(home: Path) -> None:
    (home / "adds_h.py").write_text("import sys\nsys.path.insert(0, '/somewhere/of/its/own')\n" + FACTORY)
    before = list(sys.path)
    find_factory("adds_h:make")
    added, sys.path[:] = [place for place in sys.path if place not in before], before
    assert added == ["/somewhere/of/its/own"]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    text = refusal(find_factory, "mpl")
    assert "'mpl' is not known; did you mean mlp?" in text
    assert "package.module:factory or file.py:factory" in text


def test_an_unknown_factory_is_answered_with_the_nearest_of_its_module(home: Path) -> None:
    (home / "nets.py").write_text(FACTORY)
    assert "nets.py has no 'mkae'; did you mean make?" in refusal(find_factory, "nets.py:mkae")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def make(:\n", "SyntaxError"),
        ("raise ValueError('two\\nlines')\n", "ValueError: two lines"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_a_file_or_module_that_cannot_be_imported_is_named_with_its_error(home: Path, source: str, said: str) -> None:
    (home / "broken_h.py").write_text(source)
    before = list(sys.path)
    text = refusal(find_factory, "broken_h.py:make")
    assert text.startswith("cannot run broken_h.py: ")
    assert said in text
    assert "ravine_user_broken_h" not in sys.modules
    text = refusal(find_factory, "broken_h:make")
    assert "cannot import 'broken_h'" in text
    assert said in text
    assert sys.path == before


@pytest.mark.parametrize("spec", ["nowhere_h:make", "nowhere_h.py:make", ":make", "json:"])
def test_a_place_that_is_not_there_is_refused(home: Path, spec: str) -> None:  # noqa: ARG001 - stands in the folder
    refusal(find_factory, spec)


def test_what_is_no_callable_is_refused(home: Path) -> None:
    (home / "nets.py").write_text("make = 3\n")
    assert "nets.py:make is int, not a callable" in refusal(find_factory, "nets.py:make")


def test_a_factory_that_returns_no_module_is_refused() -> None:
    assert "returned dict; a factory must return an nn.Module" in refusal(model(lambda *_: {}).build, 0)


def test_a_factory_that_raises_is_named_with_its_error() -> None:
    def failing(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        raise KeyError(f"no room for\n{input_shape}, {outputs}")

    text = refusal(model(failing).build, 0)
    assert text.startswith("model failing failed to build with input_shape=(4,), outputs=3: KeyError")


class Fixed(nn.Module):
    """Ends in whatever `forward` is told to."""

    def __init__(self, out: object) -> None:
        super().__init__()
        self.out = out

    def forward(self, x: Tensor) -> object:  # noqa: ARG002 - whatever comes in
        return self.out


def test_an_output_of_the_wrong_size_is_refused_with_both_sizes() -> None:
    text = refusal(model(lambda shape, _: nn.Linear(shape[0], 7)).check)
    assert "an output of shape (2, 7) for a batch of 2; this data needs (2, 3): end the model in 3 outputs" in text


def test_an_output_that_is_no_tensor_is_refused() -> None:
    assert "returns tuple from forward" in refusal(model(lambda *_: Fixed((1, 2))).check)


def test_a_model_that_cannot_take_the_input_is_refused_with_its_error() -> None:
    text = refusal(model(lambda _, outputs: nn.Linear(9, outputs)).check)
    assert "cannot take a batch of shape (2, 4): RuntimeError" in text


def test_one_number_for_an_example_may_come_without_its_last_dimension() -> None:
    model(lambda *_: Fixed(torch.zeros(2)), outputs=1).check()
    assert "end the model in 1 output." in refusal(model(lambda *_: Fixed(torch.zeros(2, 2)), outputs=1).check)


def test_an_unknown_setting_is_answered_with_the_nearest() -> None:
    assert "model mlp has no setting 'hiden'; did you mean hidden?" in refusal(
        model(mlp, name="mlp", hiden=(3,)).build, 0
    )
    assert "it takes none" in refusal(model(lambda shape, outputs: nn.Linear(shape[0], outputs), width=3).build, 0)


def test_settings_reach_the_factory_by_keyword() -> None:
    built = model(mlp, hidden=(6,)).build(0)
    assert [p.shape[0] for p in built.parameters() if p.ndim == 2] == [6, 3]
    seen = {}
    model(lambda shape, outputs, **more: seen.update(more) or nn.Linear(shape[0], outputs), any_h=1).build(0)
    assert seen == {"any_h": 1}


def test_a_seed_gives_the_same_weights_and_masks_and_another_seed_others() -> None:
    recipe = model(lambda shape, outputs: nn.Sequential(nn.Linear(shape[0], 5), nn.Dropout(0.5), nn.Linear(5, outputs)))
    one, same, other = (recipe.build(seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one[0].weight, other[0].weight)
    masks = [next(dropouts(each))[1].seed.item() for each in (one, same, other)]
    assert masks[0] == masks[1] != masks[2]


def test_building_and_checking_leave_the_global_generator_as_it_was() -> None:
    before = torch.get_rng_state()
    recipe = model(lambda shape, outputs: nn.Sequential(nn.Linear(shape[0], outputs), nn.Dropout()))
    recipe.check()
    assert recipe.has_dropout
    assert torch.equal(before, torch.get_rng_state())


def test_the_dropout_rate_is_set_on_every_layer_and_else_left() -> None:
    recipe = model(lambda shape, outputs: nn.Sequential(nn.Linear(shape[0], outputs), nn.Dropout(0.1)))
    assert [layer.p.item() for _, layer in dropouts(recipe.build(0, dropout=0.75))] == [0.75]
    assert [round(layer.p.item(), 6) for _, layer in dropouts(recipe.build(0))] == [0.1]
    assert not model(lambda shape, outputs: nn.Linear(shape[0], outputs)).has_dropout


def test_a_depth_is_set_on_the_stochastic_depth_layers_and_else_left() -> None:
    recipe = model(
        lambda shape, outputs: nn.Sequential(
            StochasticDepth(0.25), nn.Dropout(0.25), StochasticDepth(0.25), nn.Linear(shape[0], outputs)
        )
    )
    assert [layer.p.item() for _, layer in noises(recipe.build(0, depth=0.5))] == [0.25, 0.25, 0.5]
    assert [layer.p.item() for _, layer in noises(recipe.build(0, dropout=0.5))] == [0.25, 0.5, 0.25]
    with pytest.raises(SettingError, match="no StochasticDepth layer"):
        model(lambda shape, outputs: nn.Linear(shape[0], outputs)).build(0, depth=0.5)


def test_lazy_layers_learn_their_sizes_and_start_the_same_for_a_seed() -> None:
    model = Model(
        "",
        lambda _shape, outputs: nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.LazyLinear(outputs)),
        (3,),
        2,
    )
    built = model.build(5)
    assert built.training
    assert built[0].weight.shape == (8, 3)
    assert torch.equal(built[2].weight, model.build(5)[2].weight)
    assert not torch.equal(built[2].weight, model.build(6)[2].weight)


def test_a_model_of_another_dtype_is_told_to_be_float() -> None:
    with pytest.raises(ModelError, match=r"its parameters torch\.float64: end the factory in \.float\(\)"):
        Model("", lambda shape, outputs: nn.Linear(shape[0], outputs).double(), (3,), 2).check()
