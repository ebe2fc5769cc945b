"""Networks of the agents and mixers: acting step by step, embeddings, monotonic mixing."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from rllib_mmsa.method.agents import RecurrentAgent, SaleAgent
from rllib_mmsa.method.mixers import (
    IndependentMixer,
    QMixer,
    RolloutAggregator,
    VDNMixer,
)
from rllib_mmsa.method.networks import MAKE_MIXER
from rllib_mmsa.method.qplex import DuplexMixer, mix
from rllib_mmsa.method.sale import MAKE_NORMALISER, SaleEncoder, avg_l1_norm
from rllib_mmsa.method.settings import MIXERS, NORMALISERS, Settings
from rllib_mmsa.method.standardiser import Standardiser
from rllib_mmsa.method.targets import take_actions

B, T, N, A, D, H = 3, 5, 2, 4, 6, 8
SIZES = dict(num_agents=N, num_actions=A, obs_size=D, hidden_dim=H)
SALE = dict(sale_dim=7, sale_hidden_dim=9, normaliser="avg_l1")
KINDS = ["recurrent", "sale"]


def make_agent(kind: str, **changes) -> RecurrentAgent:
    torch.manual_seed(0)
    if kind == "sale":
        return SaleAgent(**{**SALE, **SIZES, **changes})
    return RecurrentAgent(**{**SIZES, **changes})


@pytest.fixture
def episode():
    torch.manual_seed(1)
    return torch.randn(B, T + 1, N, D), torch.randint(A, (B, T, N))


# Agents.


@pytest.mark.parametrize("last_action", [True, False])
@pytest.mark.parametrize("agent_id", [True, False])
def test_the_input_is_the_concatenation_that_the_settings_say(last_action, agent_id, episode):
    obs, actions = episode
    agent = make_agent("recurrent", observe_last_action=last_action, observe_agent_id=agent_id)
    last = F.pad(actions, (0, 0, 1, 0), value=A)
    parts = [obs]
    if last_action:
        one_hot = F.one_hot(last, A + 1)[..., :A].float()
        assert not one_hot[:, 0].any(), "none yet"
        parts.append(one_hot)
    if agent_id:
        parts.append(torch.eye(N).expand(B, T + 1, N, N))
    expected = F.relu(agent.input(torch.cat(parts, -1)))
    torch.testing.assert_close(agent.embed(obs, last), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_acting_step_by_step_equals_the_unrolled_episode(kind, episode):
    obs, actions = episode
    agent = make_agent(kind)
    hidden = agent.unroll(obs, actions)
    unrolled = agent.q_values(hidden, obs)
    state = agent.initial_state(B)
    for t in range(T + 1):
        q_values, state = agent.step(obs[:, t], state)
        torch.testing.assert_close(q_values, unrolled[:, t])
        torch.testing.assert_close(state["hidden"], hidden[:, t])
        if t < T:
            state["last_action"] = actions[:, t]


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states_depend_on_nothing_that_comes_later(kind, episode):
    obs, actions = episode
    agent = make_agent(kind)
    hidden = agent.unroll(obs, actions)
    obs[:, 3:], actions[:, 2:] = 9.0, 0
    torch.testing.assert_close(agent.unroll(obs, actions)[:, :3], hidden[:, :3])


@pytest.mark.parametrize("kind", KINDS)
def test_one_actions_value_is_that_of_all(kind, episode):
    obs, actions = episode
    agent = make_agent(kind)
    hidden, obs = agent.unroll(obs, actions)[:, :-1], obs[:, :-1]
    values = agent.q_values(hidden, obs)
    assert values.shape == (B, T, N, A)
    torch.testing.assert_close(agent.q_value(hidden, obs, actions), take_actions(values, actions))


def test_candidate_values_equal_the_concatenation(episode):
    obs, _ = episode
    agent = make_agent("sale")
    hidden = torch.randn(*obs.shape[:-1], H)
    z = agent.sale.encode(obs)
    expected = []
    for action in range(A):
        one_hot = F.one_hot(torch.full(obs.shape[:-1], action), A).float()
        per_action = agent.from_action(
            torch.cat([agent.sale.encode_action(z, one_hot), agent.sale.direct(obs, one_hot)], -1)
        )
        per_state = agent.from_state(torch.cat([hidden, z], -1))
        of_both = agent.head(F.relu(per_state + per_action)).squeeze(-1)
        expected.append(of_both + agent.per_action(hidden)[..., action])
    torch.testing.assert_close(agent.q_values(hidden, obs), torch.stack(expected, -1))


def test_values_send_no_gradient_to_the_encoders(episode):
    obs, actions = episode
    agent = make_agent("sale")
    encoders = agent.sale.encoder_parameters()
    assert encoders and not any(p.requires_grad for p in encoders), "they act and do not learn"
    for parameter in encoders:
        parameter.requires_grad_()
    hidden = agent.unroll(obs, actions)
    one = agent.q_value(hidden[:, :-1], obs[:, :-1], actions)
    (agent.q_values(hidden, obs).sum() + one.sum()).backward()
    assert all(p.grad is None for p in encoders)
    assert agent.sale.phi.weight.grad.abs().sum() > 0


# Mixers.


@pytest.mark.parametrize("name", MIXERS)
def test_every_mixer_has_a_maker_and_the_shape_that_it_says(name):
    assert MAKE_MIXER.keys() == set(MIXERS)
    mixer = MAKE_MIXER[name](N, A, 5, Settings(mixing_embed_dim=3, hypernet_embed_dim=7))
    q, state, actions = torch.randn(B, T, N), torch.randn(B, T, 5), torch.randint(A, (B, T, N))
    mixed = mix(mixer, q, state, actions, lambda: q.unsqueeze(-1) + torch.arange(A))
    assert mixed.shape == (B, T, N if name is None else 1)
    if name == "qmix":
        assert mixer.embed_dim == 3 and mixer.weights_1[0].out_features == 7
    if name == "qplex":
        assert mixer.num_actions == A and mixer.weights[0].out_features == 7


def test_q_tot_never_falls_when_an_agent_value_rises():
    torch.manual_seed(0)
    mixer = QMixer(N, state_size=5, embed_dim=8, hypernet_dim=16)
    q_values = torch.randn(160, N, requires_grad=True)
    mixer(q_values, torch.randn(160, 5) * 3).sum().backward()
    assert (q_values.grad >= 0).all() and (q_values.grad > 0).any()


def test_qplex_weighs_advantages_of_a_joint_action_by_itself():
    """Equation 9: sum_i w_i V_i + b_i + sum_i lambda_i w_i A_i, whose lambda knows all actions."""
    torch.manual_seed(0)
    mixer = DuplexMixer(N, A, state_size=5, width=8)
    q, best, state = -torch.rand(1, N), torch.rand(1, N), torch.randn(1, 5)
    joints = torch.tensor(list(itertools.product(range(A), repeat=N)))
    importance = mixer.importance(state.expand(len(joints), -1), joints)
    assert (importance > 0).all() and importance.std(0).min() > 0
    w, b = mixer.weights(state).abs(), mixer.bias(state)
    expected = (w * best + b + importance * w * (q - best)).sum(-1, keepdim=True)
    together = [x.expand(len(joints), -1) for x in (q, state)]
    torch.testing.assert_close(mixer(*together, joints, best.expand(len(joints), -1)), expected)


def test_of_qplexs_advantages_only_the_importance_learns():
    torch.manual_seed(0)
    mixer = DuplexMixer(N, A, state_size=5, width=8)
    q = torch.randn(1, N, requires_grad=True)
    best, state = q.detach() + 1, torch.randn(1, 5)
    mixer(q, state, torch.zeros(1, N, dtype=torch.int64), best).sum().backward()
    torch.testing.assert_close(q.grad, mixer.weights(state).abs())
    assert all(parameter.grad.abs().sum() > 0 for parameter in mixer.parameters())


@pytest.mark.parametrize("mixer", [QMixer(N, 5, 8, 16), VDNMixer(), DuplexMixer(N, A, 5, 16)])
def test_joint_greedy_is_each_agents_greedy(mixer):
    torch.manual_seed(0)
    for _ in range(20):
        q_values, state = torch.randn(N, A), torch.randn(1, 5)
        joints = torch.tensor(list(itertools.product(range(A), repeat=N)))
        values = q_values.expand(len(joints), N, A)
        chosen = take_actions(values, joints)
        states = state.expand(len(joints), -1)
        q_tot = mix(mixer, chosen, states, joints, values.clone)
        assert torch.equal(joints[q_tot.argmax()], q_values.argmax(-1))


def test_simple_mixers():
    q_values = torch.randn(B, N)
    torch.testing.assert_close(VDNMixer()(q_values, None)[..., 0], q_values.sum(-1))
    assert torch.equal(IndependentMixer()(q_values, None), q_values)


def test_the_aggregator_reads_all_steps_of_a_roll_out_and_is_bounded():
    rollout = torch.randn(B, T, 4, 6)
    aggregator = RolloutAggregator(joint_dim=6, horizon=3, out_size=5)
    assert aggregator(rollout).shape == (B, T, aggregator.out_size) == (B, T, 5)
    expected = torch.tanh(aggregator.linear(torch.cat(rollout.unbind(2), -1)))
    torch.testing.assert_close(aggregator(rollout), expected)
    assert aggregator(1e6 * rollout).abs().max() <= 1.0


# Embeddings and scales.


def test_avg_l1_norm():
    normed = avg_l1_norm(torch.randn(4, 6) * 100)
    torch.testing.assert_close(normed.abs().mean(-1), torch.ones(4))
    zeros = torch.zeros(2, 3)
    torch.testing.assert_close(avg_l1_norm(zeros), zeros)
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(avg_l1_norm, x)


@pytest.mark.parametrize("name", NORMALISERS)
def test_normalisers_keep_the_shape_and_do_what_they_are_named_after(name):
    assert MAKE_NORMALISER.keys() == set(NORMALISERS)
    x = torch.randn(3, 4, 6)
    y = MAKE_NORMALISER[name](6)(x)
    assert y.shape == x.shape
    measured, expected = {
        "avg_l1": lambda: (y.abs().mean(-1), torch.ones(3, 4)),
        "none": lambda: (y, x),
        "layer": lambda: (y.mean(-1), torch.zeros(3, 4)),
        "batch": lambda: (y.mean((0, 1)), torch.zeros(6)),
        "softmax": lambda: (y.sum(-1), torch.ones(3, 4)),
        "l2": lambda: (y.norm(dim=-1), torch.ones(3, 4)),
    }[name]()
    torch.testing.assert_close(measured, expected, atol=1e-5, rtol=1e-5)


def test_the_encoders_are_all_but_the_direct_map():
    sale = SaleEncoder(D, A, embed_dim=7, hidden_dim=9, normaliser="layer")
    named = dict(sale.named_parameters())
    direct = {n for n in named if n.startswith(("phi.", "phi_norm."))}
    encoders = {id(p) for p in sale.encoder_parameters()}
    assert len(direct) == 4
    assert encoders == {id(p) for n, p in named.items() if n not in direct}


def test_standardiser_ignores_padding_and_inverts():
    scale = Standardiser(D)
    x = torch.randn(B, T, N, D) * 3 + 2
    assert torch.equal(scale(x), x), "nothing is changed before the first update"
    mask = torch.ones(B, T)
    mask[:, 3:] = 0
    poisoned = x.clone()
    poisoned[:, 3:] = 1e6
    scale.update(poisoned, mask)
    real = x[:, :3].flatten(0, 2)
    torch.testing.assert_close(scale.mean, real.mean(0))
    torch.testing.assert_close(scale.variance, real.var(0, unbiased=False))
    torch.testing.assert_close(scale.invert(scale(x)), x)


def test_standardiser_per_agent_and_its_first_updates_count_alike():
    scale = Standardiser(2, 3)
    batches = torch.randn(2, 4, 5, 2, 3)
    for batch in batches:
        scale.update(batch, torch.ones(4, 5))
    assert scale.mean.shape == (2, 3)
    torch.testing.assert_close(scale.mean, batches.mean((0, 1, 2)))


def test_a_constant_feature_is_not_blown_up():
    scale = Standardiser(2)
    scale.update(torch.full((B, T, 2), 5.0), torch.ones(B, T))
    scaled = scale(torch.full((B, T, 2), 5.1))
    assert scaled.abs().max() <= 0.1 / scale.floor + 1e-3
