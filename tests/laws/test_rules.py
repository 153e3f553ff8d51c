"""What must hold of every rule. A new line in RULES is examined here without another test being written.

Letters in shapes: K trials, P coordinates.
"""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from typing import get_type_hints

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import RULES, Adadelta, Adagrad, Rule
from ravine.types import Hyper

K, P = 5, 7

# Structures that a rule has beside its default; the others are examined as they come.
STRUCTURES = {
    "sgd": [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "dampening": 0.5}],
    "adam": [{"amsgrad": True}],
    "adamw": [{"amsgrad": True}],
    "rmsprop": [{"momentum": 0.9}, {"centered": True}, {"momentum": 0.9, "centered": True}],
    "nadam": [{"decoupled_weight_decay": True}],
    "radam": [{"decoupled_weight_decay": True}],
}
# Rules whose rate has another unit than most.
RATES = {Adadelta: 10.0, Adagrad: 0.5}

VARIANTS = [(name, settings) for name in RULES for settings in [{}, *STRUCTURES.get(name, [])]]


def label(variant: object) -> str:
    """`adam amsgrad=True`, for the test's name."""
    name, settings = variant
    return " ".join([name, *(f"{key}={value}" for key, value in settings.items())])


ELEMENTWISE = [variant for variant in VARIANTS if RULES[variant[0]].elementwise]
DECAYING = [variant for variant in VARIANTS if "weight_decay" in {field.name for field in fields(RULES[variant[0]])}]


@pytest.fixture(params=VARIANTS, ids=label)
def rule(request: pytest.FixtureRequest) -> Rule:
    """Every rule, with its defaults and in each of its structures."""
    name, settings = request.param
    return RULES[name](**settings)


def hyper_names(rule: Rule) -> list[str]:
    """The fields that may hold one value per trial."""
    types = get_type_hints(type(rule))
    return [field.name for field in fields(rule) if types[field.name] == Hyper]


def spread_over_trials(rule: Rule) -> Rule:
    """The rule with a value of its own for each of K trials in every Hyper field, [K, 1] float64.

    Values run from half the default to the default, and from 0 to 0.2 where the default is 0.
    """
    spread = {}
    for name in hyper_names(rule):
        if getattr(rule, "nesterov", False) and name == "dampening":
            continue  # Nesterov needs it to be 0
        usual = getattr(rule, name)
        low, high = (usual / 2, usual) if usual else (0.0, 0.2)
        spread[name] = torch.linspace(low, high, K, dtype=torch.float64).unsqueeze(1)
    return replace(rule, **spread)


def pick(value: object, trial: int) -> object:
    """One trial's value as a float."""
    return value[trial].item() if isinstance(value, Tensor) else value


def one_trial(rule: Rule, trial: int) -> Rule:
    """The rule as one trial of a stack would be written alone, with floats."""
    return replace(rule, **{name: pick(getattr(rule, name), trial) for name in hyper_names(rule)})


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def run(rule: Rule, param: Tensor, grads: list[Tensor], lr: object, state: object = None, first: int = 1) -> tuple:
    """The parameter and the state after one step per gradient."""
    state = rule.init(param) if state is None else state
    for step, grad in enumerate(grads, start=first):
        param, state = rule.update(param, grad, state, lr=lr, step=step)
    return param, state


def tensors(state: object) -> list[Tensor]:
    return [each for each in state if each is not None]


def test_an_update_leaves_its_inputs_as_they_were(rule: Rule) -> None:
    param, grad = draw(P, seed=1), draw(P, seed=2)
    _, state = run(rule, param, [draw(P, seed=3)], lr=0.1)
    before = copy.deepcopy((param, grad, state))
    rule.update(param, grad, state, lr=0.1, step=2)
    assert torch.equal(param, before[0])
    assert torch.equal(grad, before[1])
    assert all(torch.equal(now, was) for now, was in zip(tensors(state), tensors(before[2]), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)], ids=str)
def test_shape_and_dtype_are_kept(rule: Rule, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    start = draw(*shape, dtype=dtype)
    param, state = run(rule, start, [draw(*shape, seed=s, dtype=dtype) for s in (1, 2)], lr=0.1)
    assert (param.shape, param.dtype) == (shape, dtype)
    assert param.isfinite().all()
    fresh = rule.init(start)
    assert [(t.shape, t.dtype) for t in tensors(state)] == [(t.shape, t.dtype) for t in tensors(fresh)]
    if rule.elementwise:
        assert all(each.shape == shape and each.dtype == dtype for each in tensors(state))


@pytest.mark.parametrize("rule", ELEMENTWISE, ids=label, indirect=True)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_per_trial_settings_in_float64_do_not_promote_the_parameters(rule: Rule, dtype: torch.dtype) -> None:
    rates = torch.full((K, 1), 0.1, dtype=torch.float64)
    grads = [draw(K, P, seed=s, dtype=dtype) for s in (1, 2)]
    param, state = run(spread_over_trials(rule), draw(K, P, dtype=dtype), grads, lr=rates)
    assert all(each.shape == (K, P) and each.dtype == dtype for each in [param, *tensors(state)])


# The operations are the same; a number per trial is rounded to the parameter's dtype once more than a float is.
@pytest.mark.parametrize("rule", ELEMENTWISE, ids=label, indirect=True)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_stacked_trials_match_trials_run_one_by_one(rule: Rule, dtype: torch.dtype, tolerance: float) -> None:
    stacked = spread_over_trials(rule)
    rates = torch.logspace(-3, -1, K, dtype=torch.float64).unsqueeze(1)
    start, grads = draw(K, P, dtype=dtype), [draw(K, P, seed=s, dtype=dtype) for s in range(1, 11)]
    together, _ = run(stacked, start, grads, lr=rates)
    for trial in range(K):
        alone, _ = run(one_trial(stacked, trial), start[trial], [grad[trial] for grad in grads], lr=rates[trial].item())
        torch.testing.assert_close(together[trial], alone, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", ELEMENTWISE, ids=label, indirect=True)
def test_another_trials_nan_leaves_this_trials_bits_untouched(rule: Rule) -> None:
    stacked, rates = spread_over_trials(rule), torch.full((K, 1), 0.1, dtype=torch.float64)
    healthy = [draw(K, P, seed=s) for s in range(1, 5)]
    broken = [grad.clone() for grad in healthy]
    broken[1][2] = torch.nan
    (well, well_state), (ill, ill_state) = (run(stacked, draw(K, P), grads, lr=rates) for grads in (healthy, broken))
    others = [trial for trial in range(K) if trial != 2]
    pairs = zip([well, *tensors(well_state)], [ill, *tensors(ill_state)], strict=True)
    assert all(torch.equal(a[others], b[others]) for a, b in pairs)
    assert ill[2].isnan().all()


@pytest.mark.parametrize("rule", ELEMENTWISE, ids=label, indirect=True)
def test_another_trials_rate_does_not_move_this_trial(rule: Rule) -> None:
    stacked, grads = spread_over_trials(rule), [draw(K, P, seed=s) for s in (1, 2, 3)]
    rates = torch.full((K, 1), 0.1, dtype=torch.float64)
    wild = rates.clone()
    wild[0] = 1e6
    calm, moved = (run(stacked, draw(K, P), grads, lr=lr)[0] for lr in (rates, wild))
    assert torch.equal(calm[1:], moved[1:])
    assert not torch.equal(calm[0], moved[0])


def test_a_saved_run_resumes_to_the_same_bits(rule: Rule) -> None:
    grads = [draw(P, seed=s) for s in range(1, 11)]
    through, _ = run(rule, draw(P), grads, lr=0.1)
    param, state = run(rule, draw(P), grads[:4], lr=0.1)
    saved = {name: None if value is None else value.clone() for name, value in state._asdict().items()}
    resumed, _ = run(rule, param.clone(), grads[4:], lr=0.1, state=type(state)(**saved), first=5)
    assert torch.equal(through, resumed)


@pytest.mark.parametrize("rule", DECAYING, ids=label, indirect=True)
def test_weight_decay_shrinks_a_weight_that_has_no_gradient(rule: Rule) -> None:
    param = torch.tensor([3.0, -3.0])
    decayed, _ = run(replace(rule, weight_decay=0.1), param, [torch.zeros(2)] * 5, lr=0.01)
    kept, _ = run(replace(rule, weight_decay=0.0), param, [torch.zeros(2)] * 5, lr=0.01)
    assert (decayed.abs() < param.abs()).all()
    assert (decayed.sign() == param.sign()).all()
    assert torch.equal(kept, param)


def test_the_rule_descends_on_a_quadratic(rule: Rule) -> None:
    curvature, param = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([1.0, -1.0, 1.0])
    state, start = rule.init(param), (curvature * param.square()).sum()
    lr = RATES.get(type(rule), 0.05)
    for step in range(1, 301):
        param, state = rule.update(param, curvature * param, state, lr=lr, step=step)
    assert (curvature * param.square()).sum() < 0.01 * start


def test_every_number_of_a_rule_may_differ_per_trial(rule: Rule) -> None:
    assert hyper_names(rule) == [field.name for field in fields(rule) if isinstance(field.default, float)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.1, "0.9", None], ids=str)
def test_a_setting_that_cannot_be_used_is_refused_by_name(rule: Rule, bad: object) -> None:
    for name in hyper_names(rule):
        with pytest.raises(SettingError, match=name):
            replace(rule, **{name: bad})


def test_one_bad_trial_among_good_ones_is_refused(rule: Rule) -> None:
    for name in hyper_names(rule):
        values = torch.tensor([[0.1], [float("nan")]], dtype=torch.float64)
        with pytest.raises(SettingError, match=name):
            replace(rule, **{name: values})


def test_the_docstring_holds_the_formula_its_source_and_its_memory(rule: Rule) -> None:
    text = type(rule).__doc__ or ""
    assert "<-" in text
    assert "Source:" in text
    assert "Memory:" in text


def test_a_printed_rule_is_the_code_that_makes_it(rule: Rule) -> None:
    name = type(rule).__name__
    assert eval(repr(rule), {name: type(rule)}) == rule  # noqa: S307 - our own repr
    assert hash(replace(rule)) == hash(rule)
