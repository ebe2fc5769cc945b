"""The native engine's losses and gradients are those of plain, for all that it says it knows."""

import copy

import pytest
import torch

from rllib_mmsa.engine.native import PLAIN_ALONE, bindings, unavailable, verify
from rllib_mmsa.engine.native.native import NativeEngine
from rllib_mmsa.method.settings import PRESETS, MMSASettings, Settings
from tests.engine import native_cases
from tests.unit.test_reference import READINGS

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

#: Relative to the norm of each parameter's gradient.
TOLERANCE = 1e-5


@pytest.fixture(params=["avx2", "avx512"])
def instructions(request, monkeypatch):
    """One instruction set, as if the processor had no better one."""
    if bindings.INSTRUCTIONS.index(request.param) >= bindings.library().instruction_set():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv(bindings.VARIABLE, request.param)
    return request.param


def learned(case, threads=1, team=None):
    """What the engine learned, in tensors of its own."""
    team = team or case.team
    found = NativeEngine(team, threads).learn(case.batch._asdict(), case.noise)
    return found._replace(gradients={n: g.clone() for n, g in found.gradients.items()})


def apart(ours: torch.Tensor, exact: torch.Tensor) -> float:
    """Distance to what is exact, relative to its size."""
    return ((ours.double() - exact).norm() / exact.norm().clamp(min=1e-30)).item()


@pytest.mark.parametrize("seed", range(60))
def test_losses_and_gradients_are_plains(seed, instructions):
    case = native_cases.random_case(seed)
    assert verify(case.settings) is None
    team = copy.deepcopy(case.team)
    ours = learned(case, team=team)
    exact = native_cases.plain(case.team, case.batch, case.noise, torch.float64)
    moved = native_cases.plain.team
    theirs = native_cases.plain(case.team, case.batch, case.noise, torch.float32)
    assert ours.losses.keys() == exact.losses.keys()
    for name, value in exact.losses.items():
        # A sum of numbers of both signs has no more digits than they have.
        assert ours.losses[name].item() == pytest.approx(value.item(), rel=1e-5, abs=2e-6), name
    assert ours.total.item() == pytest.approx(exact.total.item(), rel=1e-5)
    assert ours.gradients.keys() == exact.gradients.keys()
    for name, gradient in exact.gradients.items():
        if gradient.norm() < 1e-9:
            assert ours.gradients[name].norm() < 2e-6, name
            continue
        allowed = max(TOLERANCE, 10 * apart(theirs.gradients[name], gradient))
        assert apart(ours.gradients[name], gradient) < allowed, name
    for name, buffer in team.named_buffers():
        torch.testing.assert_close(buffer.double(), dict(moved.named_buffers())[name])


@pytest.mark.parametrize("reading", READINGS)
def test_a_reading_is_computed_or_refused(reading):
    """Every setting there is, flipped by itself."""
    name, changed = READINGS[reading]
    changed = {**PRESETS.get(changed.get("preset"), {}), **changed}
    changed.pop("preset", None)
    mixer = {"QPLEX": "qplex", "VDN": "vdn", "IndependentQ": None}.get(name, "qmix")
    settings = (MMSASettings if name == "MMSA" else Settings)(**{"mixer": mixer, **changed})
    refused = ("world_model_form", "observation_head", "normaliser", "dynamics_layers")
    refused += tuple(PLAIN_ALONE)
    without_sale = not changed.get("use_sale", True)
    left = without_sale or settings.mixer == "qplex" or any(n in changed for n in refused)
    assert (verify(settings) is not None) == left
    if verify(settings) is None:
        team = native_cases.scatter(native_cases.Team(settings, 3, 5, 8, 10), 0)
        batch = native_cases.random_batch(native_cases.np.random.default_rng(1), 6, 9, 3, 5, 8, 10)
        noise = native_cases.noise_for(team, batch, 1)
        exact = native_cases.plain(team, batch, noise, torch.float64)
        theirs = native_cases.plain(team, batch, noise, torch.float32)
        ours = NativeEngine(team, 2).learn(batch._asdict(), noise)
        assert ours.total.item() == pytest.approx(exact.total.item(), rel=1e-5)
        for key, gradient in exact.gradients.items():
            allowed = max(TOLERANCE, 5 * apart(theirs.gradients[key], gradient))
            assert apart(ours.gradients[key], gradient) < allowed, key


def test_the_cases_have_all_that_a_world_model_can_be():
    """Depth, width, length and weights: what is never drawn is never tested."""
    cases = [native_cases.random_case(seed) for seed in range(60)]
    models = [c for c in cases if c.settings.has_model]
    foretell = [c for c in models if c.settings.foretells]
    assert {c.settings.rollout_horizon for c in foretell} == {1, 2, 3, 5}
    assert {c.settings.dynamics_dim for c in foretell} == {1, 5, 96}
    assert any(c.batch.rewards.shape[1] < c.settings.rollout_horizon for c in foretell)
    assert any(not c.settings.foretells for c in models)
    assert {c.settings.mixer_reads for c in models} == {"rollout", "untrained"}
    own = [c for c in cases if c.settings.loss_weights.get("self_prediction_loss")]
    assert {c.settings.has_model for c in own} == {True, False}
    assert {c.settings.share_every for c in own} == {1, 2, 4}
    sale = [c for c in cases if c.settings.use_sale]
    assert 3 < len(own) < len(sale) - 3
    hidden = [c for c in cases if c.settings.reads_more and not c.settings.has_model]
    assert {c.settings.use_sale for c in hidden} == {True, False}


def test_steps_to_learn_from_may_have_gaps(instructions):
    """An entry counts where both its ends do, whatever lies between."""
    rng = native_cases.np.random.default_rng(3)
    settings = MMSASettings(rollout_horizon=4, self_prediction_weight=0.7)
    team = native_cases.scatter(native_cases.Team(settings, 3, 5, 8, 10), 0)
    batch = native_cases.random_batch(rng, 8, 12, 3, 5, 8, 10)
    holes = torch.from_numpy(rng.integers(0, 2, batch.loss_mask.shape)).float()
    batch = batch._replace(loss_mask=batch.loss_mask * holes)
    noise = native_cases.noise_for(team, batch, 1)
    exact = native_cases.plain(team, batch, noise, torch.float64)
    ours = NativeEngine(team, 2).learn(batch._asdict(), noise)
    for name in ("open_loop_loss", "reward_loss", "end_loss", "self_prediction_loss"):
        assert ours.losses[name].item() == pytest.approx(exact.losses[name].item(), rel=1e-5)
    for name, gradient in exact.gradients.items():
        assert apart(ours.gradients[name], gradient) < 5e-5, name


@pytest.mark.parametrize("seed", range(0, 60, 4))
def test_threads_change_no_bit(seed, instructions):
    case = native_cases.random_case(seed)
    first, *others = (
        learned(case, threads, copy.deepcopy(case.team)) for threads in (1, 2, 2, 3, 1)
    )
    for other in others:
        assert all(torch.equal(first.losses[name], other.losses[name]) for name in first.losses)
        for name, gradient in first.gradients.items():
            assert torch.equal(gradient, other.gradients[name]), name


@pytest.mark.parametrize("mixer", ["qmix", "vdn", None])
@pytest.mark.parametrize("double_q", [True, False])
@pytest.mark.parametrize("bootstrap", [True, False])
@pytest.mark.parametrize("kind", [Settings, MMSASettings])
def test_lambda_returns_are_plains(kind, bootstrap, double_q, mixer, instructions):
    """Of windows with a burn-in, of episodes that end or are cut off, and of steps with a gap."""
    options = {"td_lambda": 0.6, "double_q": double_q, "bootstrap_truncated": bootstrap}
    team = native_cases.Team(kind(mixer=mixer, **options), 3, 5, 8, 10)
    native_cases.scatter(team, 0)
    batch = native_cases.random_batch(native_cases.np.random.default_rng(3), 9, 12, 3, 5, 8, 10)
    batch.loss_mask[0, 5] = 0
    batch.truncated[0, 3] = batch.terminated[0, 8] = True  # steps that are learned from follow
    assert batch.loss_mask[0, [3, 4, 8, 9]].all()
    ends = batch.terminated.any(1), batch.truncated.any(1)
    assert ends[0].any() and ends[1].any() and not (ends[0] | ends[1]).all()
    assert batch.loss_mask[:, 0].min() == 0
    noise = native_cases.noise_for(team, batch, 1)
    exact = native_cases.plain(team, batch, noise, torch.float64)
    ours, threaded = (
        NativeEngine(copy.deepcopy(team), threads).learn(batch._asdict(), noise)
        for threads in (1, 3)
    )
    assert ours.losses["td_target_mean"].item() == pytest.approx(
        exact.losses["td_target_mean"].item(), rel=1e-5, abs=1e-6
    )
    assert ours.total.item() == pytest.approx(exact.total.item(), rel=1e-5)
    for name, gradient in exact.gradients.items():
        assert apart(ours.gradients[name], gradient) < 3e-5, name
        assert torch.equal(ours.gradients[name], threaded.gradients[name]), name
    team.settings = kind(mixer=mixer, **{**options, "td_lambda": 0.0})
    one_step = NativeEngine(team, 1).learn(batch._asdict(), noise)
    assert abs(one_step.losses["td_target_mean"] - ours.losses["td_target_mean"]) > 1e-3


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_one_engine_learns_from_batches_of_any_shape(weight, instructions):
    """Memory that is used again keeps nothing of the batch before."""
    rng = native_cases.np.random.default_rng(0)
    torch.manual_seed(1)  # with some weights a unit stands at its kink, where rounding decides
    settings = MMSASettings(self_prediction_weight=weight)
    team = native_cases.scatter(native_cases.Team(settings, 3, 5, 8, 10), 0)
    engine = NativeEngine(team, 2)
    for episodes, steps in ((8, 20), (3, 7), (8, 20), (1, 1), (12, 30)):
        batch = native_cases.random_batch(rng, episodes, steps, 3, 5, 8, 10)
        noise = native_cases.noise_for(team, batch, 1)
        state = copy.deepcopy(team.state_dict())
        ours = engine.learn(batch._asdict(), noise)
        team.load_state_dict(state)
        exact = native_cases.plain(team, batch, noise, torch.float64)
        for name, gradient in exact.gradients.items():
            assert apart(ours.gradients[name], gradient) < 5e-5, name


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_acting_is_the_agents_step(seed, instructions):
    case = native_cases.random_case(seed)
    agent, engine = case.team.agent, NativeEngine(case.team, 1, learns=False)
    for environments in (1, 3, 40):
        state = agent.initial_state(environments)
        for _ in range(3):
            obs = torch.rand(environments, case.team.num_agents, case.team.obs_size)
            with torch.no_grad():
                values, after = agent.step(obs, state)
            ours, state = engine.act(obs, state)
            torch.testing.assert_close(ours, values, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(state["hidden"], after["hidden"], rtol=1e-4, atol=1e-6)
            state["last_action"] = ours.argmax(-1)


def test_acting_follows_the_weights_however_they_are_written():
    case = native_cases.random_case(2)
    agent, engine = case.team.agent, NativeEngine(case.team, 1, learns=False)
    obs = torch.rand(2, case.team.num_agents, case.team.obs_size)
    for change in (lambda p: p.data.copy_(0.9 * p), lambda p: p.add_(0.1), lambda p: p.mul_(2)):
        with torch.no_grad():
            for parameter in agent.parameters():
                change(parameter)
            expected, _ = agent.step(obs, agent.initial_state(2))
        ours, _ = engine.act(obs, agent.initial_state(2))
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"use_sale": False}, "without SALE"),
        ({"world_model_form": "printed"}, "printed is not compiled"),
        ({"world_model_form": "residual"}, "residual is not compiled"),
        ({"observation_head": "agent"}, "agent is not compiled"),
        ({"dynamics_layers": 1}, "dynamics_layers: 1 is not compiled"),
        ({"num_models": 2}, "num_models: 2 is not compiled"),
        ({"gate_rollout": True}, "gate_rollout: True is not compiled"),
        ({"value_expansion": 1}, "value_expansion: 1 is not compiled"),
        *(({"normaliser": n}, n) for n in ("none", "layer", "batch", "softmax", "l2")),
    ],
)
def test_what_it_does_not_know_is_said(settings, words):
    assert words in verify(MMSASettings(**settings))


def test_all_other_readings_are_known():
    assert verify(Settings()) is None and verify(MMSASettings()) is None
    for reading in (
        {"use_world_model": False, "use_sale": False},
        {"use_world_model": False},
        {"use_global_state": False},
        {"kl_balance": None},
        {"kl_balance": "posterior"},
        {"double_q": False},
        {"rollout_horizon": 10},
        {"td_lambda": 0.6},
        {"mixer_reads": "untrained"},
        {"mixer_reads": "hidden"},
        {"mixer_reads": "hidden", "use_sale": False},
        {"open_loop_weight": 0.0, "reward_weight": 0.0, "end_weight": 0.0},
        {"self_prediction_weight": 0.5},
        {"self_prediction_weight": 0.5, "use_world_model": False},
    ):
        assert verify(MMSASettings(**reading)) is None


def test_instructions_can_be_forced_and_refused(monkeypatch):
    monkeypatch.setenv(bindings.VARIABLE, "avx2")
    case = native_cases.random_case(0)
    assert NativeEngine(case.team, 1).name == "native (AVX2)"
    assert NativeEngine(case.team, 2).name == "native (AVX2, 2 threads)"
    monkeypatch.setenv(bindings.VARIABLE, "none")
    assert "is none" in unavailable()
