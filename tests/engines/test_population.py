"""The population's own business: choosing an engine, falling back, what it records, decays and leaves alone.

Letters in shapes: K trials, B batch.
"""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.engines import Choice, Engine, Population
from ravine.engines.threads import threads
from ravine.engines.updates import PackedUpdate
from ravine.errors import ModelError, SettingError
from ravine.models import mlp
from ravine.randomness import seeded
from ravine.regularization import L1, L2, MaxNorm, Penalty
from ravine.rules import SGD, AdamW, ScheduleFreeSGD

K, STEPS = 3, 6
RATES = [0.05, 0.1, 0.2]

both_engines = pytest.mark.parametrize("engine", ["stacked", "one by one"])


def batches(count: int = STEPS) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(8)
    return [
        (torch.randn(10, 4, generator=generator), torch.randint(3, (10,), generator=generator)) for _ in range(count)
    ]


def made(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with seeded(seed, "test"):
        return build()


def population(build: Callable[[], nn.Module], *, engine: Engine = "auto", trials: int = K) -> Population:
    modules = [made(build, k) for k in range(trials)]
    return Population(modules, [SGD(momentum=0.9)] * trials, F.cross_entropy, engine=engine)


class Base(nn.Module):
    """A linear classifier with something in its way."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)


class Branches(Base):
    def forward(self, x: Tensor) -> Tensor:
        out = self.linear(x)
        return out if out.sum() > 0 else 2 * out


class ReadsANumber(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * (1 + abs(self.linear.bias[0].item()))


class Refuses(Base):
    def forward(self, x: Tensor) -> Tensor:
        if torch._C._functorch.is_batchedtensor(self.linear.weight):
            raise ValueError
        return F.softplus(self.linear(x))  # which is not said in C


class Draws(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.dropout(x, 0.5, self.training))


class Counts(Base):
    """Assigns its buffer anew instead of changing it in place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen = self.seen + 1
        return self.linear(x)


@pytest.mark.parametrize(
    ("build", "said"),
    [(Branches, "data-dependent control flow"), (ReadsANumber, r"\.item\(\)"), (Refuses, "ValueError")],
)
def test_a_model_that_vmap_refuses_is_trained_one_by_one_and_the_reason_is_named(build: type[Base], said: str) -> None:
    found = population(build)
    for x, y in batches():
        found.step(x, y, RATES)
    assert found.engine == "one by one"
    assert found.choice.reason.startswith(f"vmap cannot run {build.__name__}: ")
    assert "\n" not in found.choice.reason
    assert re.search(said, found.choice.reason)
    for k, rate in enumerate(RATES):
        module = made(build, k)
        optimizer = torch.optim.SGD(module.parameters(), lr=rate, momentum=0.9)
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(module(x), y).backward()
            optimizer.step()
        torch.testing.assert_close(found.state(k), dict(module.state_dict()), rtol=1e-5, atol=1e-6)


def test_a_model_that_draws_is_reseeded_by_trial_and_step() -> None:
    before = torch.get_rng_state()
    whole, alone = population(Draws), population(Draws)
    alone.keep([1])
    for x, y in batches():
        whole.step(x, y, RATES)
        alone.step(x, y, [RATES[1]])
    assert "draws from torch's global generator" in whole.choice.reason
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(whole.state(1), alone.state(0), rtol=1e-5, atol=1e-6)
    again = population(Draws)
    torch.rand(5)  # wherever the global generator stands
    for x, y in batches():
        again.step(x, y, RATES)
    assert torch.equal(again.stack.flat, whole.stack.flat)


def test_the_draws_of_a_model_differ_from_step_to_step_and_from_trial_to_trial() -> None:
    modules = [made(Draws, 0) for _ in range(2)]
    found = Population(modules, [SGD()] * 2, F.cross_entropy, seeds=[1, 2])
    x, y = batches()[0]
    first, second = (found.step(x, y, [1e-12, 1e-12]).loss for _ in range(2))
    assert first[0] != first[1]
    assert first[0] != second[0]


def test_a_buffer_that_is_assigned_anew_is_counted_right_and_survives_a_cut() -> None:
    found = population(Counts)
    for x, y in batches(4):
        found.step(x, y, RATES)
    found.keep([2, 0])
    for x, y in batches(2):
        found.step(x, y, RATES[:2])
    assert "Counts assigns a buffer anew" in found.choice.reason
    assert [found.state(k)["seen"].item() for k in range(2)] == [6, 6]
    assert found.stack.buffers["seen"].tolist() == [6, 6]


@pytest.mark.parametrize("build", [Draws, Counts])
def test_a_stack_that_would_train_wrongly_is_refused_when_asked_for(build: type[Base]) -> None:
    with pytest.raises(ModelError, match="write engine='auto'"):
        population(build, engine="stacked").step(*batches()[0], RATES)


def test_looking_at_the_first_batch_leaves_no_trace() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))

    with threads(2):  # so that the number of threads is measured as well
        looked = population(build)
        looked.step(*batches()[0], RATES)
    plain = population(build, engine=looked.engine)
    plain.step(*batches()[0], RATES)
    assert looked.choice.reason.startswith("measured: ")
    assert looked.choice.threads in (None, 1)
    for k in range(K):
        torch.testing.assert_close(looked.state(k), plain.state(k), rtol=1e-5, atol=1e-6)
        assert looked.state(k)["1.num_batches_tracked"] == 1


def test_one_trial_is_run_by_the_plain_engine() -> None:
    found = population(Base.__subclasses__()[0], trials=1, engine="stacked")
    found.step(*batches()[0], [0.1])
    assert (found.engine, found.choice.reason, len(found)) == ("one by one", "there is one trial", 1)


@both_engines
def test_weights_decay_and_biases_and_scales_do_not(engine: Engine) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3))

    found = Population(
        [made(build, k) for k in range(K)], [AdamW(weight_decay=0.5)] * K, F.cross_entropy, engine=engine
    )
    for x, y in batches():
        found.step(x, y, RATES)
    for k, rate in enumerate(RATES):
        module = made(build, k)
        groups = [
            {"params": [p for p in module.parameters() if p.ndim >= 2], "weight_decay": 0.5},
            {"params": [p for p in module.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=rate)
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(module(x), y).backward()
            optimizer.step()
        torch.testing.assert_close(found.state(k), dict(module.state_dict()), rtol=1e-4, atol=1e-5)


@both_engines
def test_the_record_holds_the_loss_before_the_step_and_both_norms(engine: Engine) -> None:
    found = population(lambda: mlp((4,), 3, hidden=(6,)), engine=engine)
    x, y = batches()[0]
    before = found.stack.flat.clone()
    losses = [F.cross_entropy(module(x), y) for module in found.stack.modules]
    norms = [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(module.parameters()))]).norm()
        for loss, module in zip(losses, found.stack.modules, strict=True)
    ]
    record = found.step(x, y, RATES)
    torch.testing.assert_close(record.loss, torch.stack(losses).detach())
    torch.testing.assert_close(record.grad_norm, torch.stack(norms))
    moved = (found.stack.flat - before).norm(dim=1)
    torch.testing.assert_close(record.update_ratio, moved / before.norm(dim=1), rtol=1e-4, atol=0)
    torch.testing.assert_close(moved, torch.tensor(RATES) * record.grad_norm, rtol=1e-4, atol=0)  # the first step


@both_engines
def test_frozen_parameters_stay_as_each_trial_has_them(engine: Engine) -> None:
    def build() -> nn.Module:
        model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
        model[0].requires_grad_(False)
        return model

    found = population(build, engine=engine)
    for x, y in batches():
        found.step(x, y, RATES)
    for k in range(K):
        start = made(build, k)
        assert torch.equal(found.state(k)["0.weight"], start[0].weight)
        assert not torch.equal(found.state(k)["2.weight"], start[2].weight)
    torch.testing.assert_close(found.outputs(x), torch.stack([m(x) for m in found.stack.modules]).detach())


@both_engines
def test_tied_parameters_stay_tied_and_take_both_gradients(engine: Engine) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
            self.two.weight = self.one.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.two(self.one(x).relu()))

    found, module = population(Tied, engine=engine), made(Tied, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=RATES[1], momentum=0.9)
    for x, y in batches():
        found.step(x, y, RATES)
        optimizer.zero_grad()
        F.cross_entropy(module(x), y).backward()
        optimizer.step()
    state = found.state(1)
    assert torch.equal(state["one.weight"], state["two.weight"])
    torch.testing.assert_close(state, dict(module.state_dict()), rtol=1e-4, atol=1e-5)


@both_engines
def test_outputs_are_those_of_evaluation_mode_in_any_chunks(engine: Engine) -> None:
    found = population(lambda: mlp((4,), 3, hidden=(6,), dropout=0.5), engine=engine)
    x, y = batches()[0]
    found.step(x, y, RATES)
    wanted = torch.stack([module.eval()(x) for module in found.stack.modules]).detach()
    torch.testing.assert_close(found.outputs(x), wanted)
    torch.testing.assert_close(found.outputs(x, chunk=3), wanted)


def test_a_state_is_a_copy_that_training_does_not_reach() -> None:
    found = population(lambda: nn.Linear(4, 3))
    state = found.state(0)
    before = state["weight"].clone()
    found.step(*batches()[0], RATES)
    assert torch.equal(state["weight"], before)


def linear(bias: bool = True, dtype: torch.dtype = torch.float32, frozen: bool = False) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3, bias=bias, dtype=dtype)).requires_grad_(not frozen)


def half_frozen() -> nn.Module:
    model = linear()
    model[0].bias.requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (linear(), linear(bias=False)),
        (linear(bias=False), linear()),  # more than the first, too
        (nn.Linear(4, 3), nn.Linear(4, 2)),
        (linear(), linear(dtype=torch.float64)),
        (linear(), half_frozen()),
        (nn.BatchNorm1d(3), nn.BatchNorm1d(3, track_running_stats=False)),
    ],
)
def test_modules_of_two_structures_are_refused(one: nn.Module, other: nn.Module) -> None:
    with pytest.raises(ModelError, match="stacked modules differ"):
        Population([one, other], [SGD()] * 2, F.cross_entropy)


def test_no_modules_and_too_few_rules_are_refused() -> None:
    with pytest.raises(ModelError, match="at least one module"):
        Population([], [], F.cross_entropy)
    with pytest.raises(ModelError, match="got 1 modules and 2 rules"):
        Population([linear()], [SGD()] * 2, F.cross_entropy)


def test_an_operation_that_vmap_does_slowly_is_not_complained_of() -> None:
    class Scaled(Base):
        """Its norm has no batching rule."""

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, torch._weight_norm(self.linear.weight, torch.ones(3, 1), 0))

    x, y = batches()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        population(Scaled, engine="stacked").step(x, y, RATES)


@both_engines
@pytest.mark.parametrize("own_x", [False, True])
@pytest.mark.parametrize("own_y", [False, True])
def test_inputs_and_targets_are_shared_or_owned_apart(engine: Engine, own_x: bool, own_y: bool) -> None:
    apart, spelled = (population(lambda: mlp((4,), 3, hidden=(6,)), engine=engine) for _ in range(2))
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        x = torch.randn(*([K] if own_x else []), 10, 4, generator=generator)
        y = torch.randint(3, (*([K] if own_y else []), 10), generator=generator)
        apart.step(x, y, RATES, own=own_x, own_targets=own_y)
        spelled.step(x if own_x else x.expand(K, 10, 4), y if own_y else y.expand(K, 10), RATES, own=True)
    torch.testing.assert_close(apart.stack.flat, spelled.stack.flat, rtol=1e-5, atol=1e-6)


def test_targets_are_owned_where_inputs_are_unless_said_otherwise() -> None:
    found, said = (population(lambda: nn.Linear(4, 3)) for _ in range(2))
    x, y = torch.randn(K, 10, 4), torch.randint(3, (K, 10))
    found.step(x, y, RATES, own=True)
    said.step(x, y, RATES, own=True, own_targets=True)
    torch.testing.assert_close(found.stack.flat, said.stack.flat)


@pytest.mark.parametrize("trials", [1, K])
def test_a_batch_that_is_not_one_for_each_trial_is_refused(trials: int) -> None:
    x, y = batches()[0]
    rates = RATES[:trials]
    with pytest.raises(SettingError, match=rf"x has shape \[10, 4\] but {trials} trials.*own=False"):
        population(lambda: nn.Linear(4, 3), trials=trials).step(x, y, rates, own=True, own_targets=False)
    with pytest.raises(SettingError, match=rf"y has shape \[10\] but {trials} trials.*own_targets=False"):
        population(lambda: nn.Linear(4, 3), trials=trials).step(x.expand(trials, 10, 4), y, rates, own=True)


def held_back(
    engine: Engine = "stacked",
    penalties: list[Penalty | None] | None = None,
    *,
    proximal: bool = False,
    limits: list[MaxNorm | None] | None = None,
) -> Population:
    modules = [made(lambda: mlp((4,), 3, hidden=(6,)), k) for k in range(K)]
    return Population(
        modules,
        [SGD()] * K,
        F.cross_entropy,
        engine=engine,
        penalties=penalties,
        proximal=proximal,
        limits=limits,
    )


@both_engines
def test_the_record_holds_the_loss_of_the_data_the_gradient_met_and_the_whole_change(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = batches()[0]
    met: list[Tensor] = []
    step = PackedUpdate.step

    def noting(update: PackedUpdate, flat: Tensor, grads: Tensor, *rest: Any) -> Tensor:
        met.append(grads.norm(dim=1))
        return step(update, flat, grads, *rest)

    monkeypatch.setattr(PackedUpdate, "step", noting)
    for proximal in (False, True):
        found = held_back(engine, [L2(0.5)] * K, proximal=proximal, limits=[MaxNorm(0.3)] * K)
        before = found.stack.flat.clone()
        bare, record = held_back(engine).step(x, y, RATES), found.step(x, y, RATES)
        torch.testing.assert_close(record.loss, bare.loss)
        assert torch.equal(record.grad_norm, bare.grad_norm) == proximal
        torch.testing.assert_close(record.grad_norm, met[-1])
        moved = (found.stack.flat - before).norm(dim=1)
        torch.testing.assert_close(record.update_ratio, moved / before.norm(dim=1), rtol=1e-4, atol=0)
        assert (record.update_ratio > 2 * bare.update_ratio).all()


@pytest.mark.parametrize("proximal", [False, True])
def test_looking_at_the_first_batch_leaves_no_trace_of_penalties_and_limits(proximal: bool) -> None:
    given = {
        "penalties": [L1(0.05), None, L2(0.5)],
        "proximal": proximal,
        "limits": [MaxNorm(0.3 + k) for k in range(K)],
    }
    looked = held_back("auto", **given)
    looked.step(*batches()[0], RATES)
    plain = held_back(looked.engine, **given)
    plain.step(*batches()[0], RATES)
    assert looked.choice.reason.startswith("measured: ")
    torch.testing.assert_close(looked.stack.flat, plain.stack.flat, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("given", [{"penalties": [L2(0.1)], "proximal": True}, {"limits": [MaxNorm(1.0)]}])
def test_a_rule_that_averages_on_the_side_takes_a_penalty_only_by_its_gradient(given: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="ScheduleFreeSGD averages its weights on the side"):
        Population([linear()], [ScheduleFreeSGD()], F.cross_entropy, **given)
    Population([linear()], [ScheduleFreeSGD()], F.cross_entropy, penalties=[L2(0.1)]).step(*batches()[0], [0.1])


def net() -> nn.Module:
    return mlp((4,), 3, hidden=[9])


def test_an_engine_that_c_cannot_serve_goes_on_stacked_and_says_why() -> None:
    found = population(lambda: nn.Sequential(nn.Linear(4, 3), nn.Softplus()), engine="compiled")
    found.step(*batches()[0], RATES)
    assert found.engine == "stacked"
    assert found.choice.reason == "not compiled: aten.softplus.default is not said in C yet"


class DrawsInPython(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * random.random()  # noqa: S311 - as users do


def test_a_forward_that_c_would_not_follow_is_given_up_at_its_first_steps() -> None:
    found = population(DrawsInPython, engine="compiled")
    found.step(*batches()[0], RATES)
    assert found.engine == "stacked"
    assert found.choice.reason == "not compiled: DrawsInPython does not do the same at every step"


def test_a_batch_of_another_shape_is_no_business_of_the_c_that_there_is() -> None:
    one, other = (population(net, engine=engine) for engine in ("compiled", "stacked"))
    for size in (10, 10, 10, 7, 1, 10):
        x, y = batches()[0]
        for each in (one, other):
            each.step(x[:size], y[:size], RATES)
    assert one.engine == "compiled"
    torch.testing.assert_close(one.stack.flat, other.stack.flat, rtol=1e-5, atol=1e-6)


def test_penalties_and_limits_come_between_gradients_and_rule_in_c_too() -> None:
    flats = []
    for engine in ("compiled", "stacked"):
        found = Population(
            [made(net, k) for k in range(K)],
            [SGD(momentum=0.9)] * K,
            F.cross_entropy,
            engine=engine,
            penalties=[L2(0.1), None, L1(0.02)],
            limits=[None, MaxNorm(0.5), None],
        )
        for x, y in batches():
            record = found.step(x, y, RATES)
        assert found.engine == engine
        flats.append(torch.cat([found.stack.flat, torch.stack(record, dim=1)], dim=1))
    torch.testing.assert_close(flats[0], flats[1], rtol=1e-5, atol=1e-6)


def test_a_compiled_choice_is_repeated_to_the_bit() -> None:
    first = population(net, engine="compiled")
    again = Population(
        [made(net, k) for k in range(K)], [SGD(momentum=0.9)] * K, F.cross_entropy, engine=Choice("compiled", 1, "")
    )
    for x, y in batches():
        one, other = first.step(x, y, RATES), again.step(x, y, RATES)
        assert torch.equal(one.loss, other.loss)
    assert again.choice == ("compiled", 1, "")
    assert torch.equal(first.stack.flat, again.stack.flat)


@both_engines
def test_bfloat16_trains_float32_weights_to_nearly_the_same_loss(engine: Engine) -> None:
    losses = {}
    for precision in ("full", "bfloat16"):
        found = Population(
            [made(net, k) for k in range(K)], [AdamW()] * K, F.cross_entropy, engine=engine, precision=precision
        )
        losses[precision] = torch.stack([found.step(*batches()[0], [0.01] * K).loss for _ in range(20)])
        assert found.stack.flat.dtype == found.stack.grads.dtype == torch.float32
    assert not torch.equal(losses["full"], losses["bfloat16"])
    # Eight bits of a product's digits: 2^-8 of each logit, which are about 1 here.
    torch.testing.assert_close(losses["bfloat16"].float(), losses["full"], rtol=0.02, atol=0.02)


def test_a_precision_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingError, match="precision is 'half': write 'full'"):
        Population([made(net, 0)], [SGD()], F.cross_entropy, precision="half")
    found = Population([made(net, 0)], [SGD()], F.cross_entropy, precision="bfloat16", engine="compiled")
    with pytest.raises(SettingError, match="a compiled step has full precision"):
        found.step(*batches()[0], RATES[:1])
