"""Networks: monotonic mixing, one-hot shortcuts, acting step by step, embeddings."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F

from rllib_mmsa.nets.agents import RecurrentAgent
from rllib_mmsa.nets.aggregator import RolloutAggregator
from rllib_mmsa.nets.gru import GRU
from rllib_mmsa.nets.mixers import IndependentMixer, QMixer, VDNMixer
from rllib_mmsa.nets.packing import Packing
from rllib_mmsa.nets.sale import NORMALISERS, avg_l1_norm, make_normaliser, sale_prediction_error
from rllib_mmsa.nets.sale_agents import CandidateActionSaleAgent, PreviousActionSaleAgent
from rllib_mmsa.nets.scripted import Traced
from rllib_mmsa.nets.standardiser import Standardiser
from rllib_mmsa.nets.world_model import WorldModel
from rllib_mmsa.td import take_actions

B, T, N, A, D, H = 3, 5, 2, 4, 6, 8
SIZES = dict(num_agents=N, num_actions=A, obs_size=D, hidden_dim=H)
SALE = dict(sale_dim=7, sale_hidden_dim=9, normaliser="avg_l1")


def agents():
    torch.manual_seed(0)
    return {
        "plain": RecurrentAgent(**SIZES),
        "previous": PreviousActionSaleAgent(**SALE, **SIZES),
        "candidate": CandidateActionSaleAgent(sale_head_dim=5, **SALE, **SIZES),
    }


@pytest.fixture
def episode():
    torch.manual_seed(1)
    return torch.randn(B, T + 1, N, D), torch.randint(A, (B, T, N))


def test_q_tot_never_falls_when_an_agent_value_rises():
    mixer = QMixer(N, state_size=5, embed_dim=8, hypernet_dim=16)
    q_values = torch.randn(160, N, requires_grad=True)
    mixer(q_values, torch.randn(160, 5) * 3).sum().backward()
    assert (q_values.grad >= 0).all() and (q_values.grad > 0).any()


@pytest.mark.parametrize("mixer", [QMixer(N, 5, 8, 16), VDNMixer()])
def test_joint_greedy_is_each_agents_greedy(mixer):
    torch.manual_seed(0)
    for _ in range(20):
        q_values, state = torch.randn(N, A), torch.randn(1, 5)
        best = max(
            itertools.product(range(A), repeat=N),
            key=lambda joint: mixer(
                torch.stack([q_values[i, a] for i, a in enumerate(joint)]).view(1, N), state
            ).item(),
        )
        assert best == tuple(q_values.argmax(-1).tolist())


def test_simple_mixers():
    q_values = torch.randn(B, N)
    torch.testing.assert_close(VDNMixer()(q_values, None)[..., 0], q_values.sum(-1))
    assert torch.equal(IndependentMixer()(q_values, None), q_values)


def test_one_hot_rows_equal_the_concatenation(episode):
    obs, actions = episode
    agent = agents()["plain"]
    last = F.pad(actions, (0, 0, 1, 0), value=A)
    one_hot = F.one_hot(last, A + 1)[..., :A].float()
    ids = torch.eye(N).expand(B, T + 1, N, N)
    expected = F.relu(agent.input(torch.cat([obs, one_hot, ids], -1)))
    torch.testing.assert_close(agent._embed(obs, last, None), expected)


@pytest.mark.parametrize("name", ["plain", "previous", "candidate"])
def test_acting_step_by_step_equals_the_unrolled_episode(name, episode):
    obs, actions = episode
    agent = agents()[name]
    hidden = agent.unroll(obs, actions)
    unrolled = agent.q_values(hidden, obs)
    state = agent.initial_state(B)
    for t in range(T + 1):
        q_values, state = agent.step(obs[:, t], state)
        torch.testing.assert_close(q_values, unrolled[:, t])
        torch.testing.assert_close(state["hidden"], hidden[:, t])
        if t < T:
            state["last_action"] = actions[:, t]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", ["plain", "previous", "candidate"])
def test_legal_actions_have_the_values_that_all_have(name, share, episode):
    agent = agents()[name]
    obs, actions = episode
    hidden = agent.unroll(obs, actions)[:, :-1]
    legal = torch.rand(*actions.shape, A) < share
    legal[0] = False  # as in steps that were never played
    values = agent.legal_q(agent.prepare(hidden, agent.encode_obs(obs[:, :-1])), legal)
    expected = agent.q_values(hidden, obs[:, :-1])
    torch.testing.assert_close(values[legal], expected[legal])
    assert not values.requires_grad


@pytest.mark.parametrize("name", ["previous", "candidate"])
def test_values_send_no_gradient_to_the_encoders(name, episode):
    agent = agents()[name]
    obs, actions = episode
    hidden = agent.unroll(obs, actions)
    values = agent.q_values(hidden, obs)
    prepared = agent.prepare(hidden[:, :-1], agent.encode_obs(obs[:, :-1]))
    one = agent.chosen_q(prepared, actions)
    torch.testing.assert_close(one, take_actions(values[:, :-1], actions))
    legal = torch.ones(*actions.shape, A, dtype=torch.bool)
    torch.testing.assert_close(agent.legal_q(prepared, legal), values[:, :-1].detach())
    (values.sum() + one.sum()).backward()
    encoders = agent.sale.encoder_parameters()
    assert encoders and all(p.grad is None for p in encoders)
    assert agent.sale.phi.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_values_without_gradient_are_those_with_it_for_any_number_of_rows(normaliser):
    """Those without come of traces, which must not keep the sizes of their first call."""
    torch.manual_seed(0)
    settings = {**SALE, "normaliser": normaliser, "sale_head_dim": 5, **SIZES}
    agent = CandidateActionSaleAgent(**settings).eval()
    for rows in (7, 3001, 12, 1):
        hidden, obs = torch.randn(rows, N, H), torch.randn(rows, N, D)
        actions, legal = torch.randint(A, (rows, N)), torch.ones(rows, N, A, dtype=torch.bool)
        with torch.no_grad():
            read = agent.prepare(hidden, agent.encode_obs(obs))
            frozen = agent.chosen_q(read, actions), agent.legal_q(read, legal)
            few = agent.legal_q(read, some := torch.rand(legal.shape) < 0.4)
        values = agent.q_values(hidden, obs).detach()
        torch.testing.assert_close(few[some], values[some])
        torch.testing.assert_close(frozen[0], take_actions(values, actions))
        torch.testing.assert_close(frozen[1], values)
        prepared = agent.prepare(hidden, agent.encode_obs(obs))
        torch.testing.assert_close(agent.legal_q(prepared, legal), values)


def test_acting_values_follow_the_weights_however_they_are_written(episode):
    obs, _ = episode
    agent, other = agents()["candidate"], agents()["candidate"]
    hidden = torch.randn(*obs.shape[:-1], agent.hidden_dim)

    def acts_like_it_learns(network):
        with torch.no_grad():
            acting = network.q_values(hidden, obs)
        torch.testing.assert_close(acting, network.q_values(hidden, obs).detach())
        return acting

    before = acts_like_it_learns(agent)
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    moved = acts_like_it_learns(agent)
    assert not torch.equal(moved, before)
    copied = acts_like_it_learns(copy.deepcopy(agent))
    torch.testing.assert_close(copied, moved)
    agent.load_state_dict(other.state_dict())
    torch.testing.assert_close(acts_like_it_learns(agent), acts_like_it_learns(other))


def test_avg_l1_norm_has_the_gradient_of_its_formula():
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(avg_l1_norm, x)
    zeros = torch.zeros(2, 3)
    torch.testing.assert_close(avg_l1_norm(zeros), zeros)


def test_candidate_values_equal_the_concatenation(episode):
    obs, _ = episode
    torch.manual_seed(1)
    agent = agents()["candidate"]
    hidden = torch.randn(*obs.shape[:-1], agent.hidden_dim)
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


def test_avg_l1_norm():
    normed = avg_l1_norm(torch.randn(4, 6) * 100)
    torch.testing.assert_close(normed.abs().mean(-1), torch.ones(4))
    assert torch.isfinite(avg_l1_norm(torch.zeros(1, 6))).all()


@pytest.mark.parametrize("name", NORMALISERS)
def test_normalisers_keep_the_shape(name):
    x = torch.randn(3, 4, 6)
    assert make_normaliser(name, 6)(x).shape == x.shape


def test_sale_error_stops_at_the_next_embedding():
    packing = Packing([3, 2])
    z_a, z = torch.randn(5, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    error = sale_prediction_error(z_a, z, packing)
    torch.testing.assert_close(error, (z_a[:2] - z[3:]) ** 2)
    error.sum().backward()
    assert z.grad is None and z_a.grad[:2].all() and not z_a.grad[2:].any()
    with pytest.raises(ValueError, match="must have the steps of z_a"):
        sale_prediction_error(z_a, z[1:], packing)


def test_standardiser_ignores_padding_and_inverts():
    scale = Standardiser(D)
    x = torch.randn(B, T, N, D) * 3 + 2
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


def make_model(**kwargs):
    torch.manual_seed(2)
    return WorldModel(num_agents=N, num_actions=A, obs_size=D, hidden_dim=H, latent_dim=3,
                      width=16, **kwargs)  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [{}, {"use_sale": False}, {"rollout_latent": "embedding"}, {"posterior_sees_obs": False}],
)
def test_a_traced_imagination_sees_other_sizes_and_later_weights(settings):
    model = make_model(**settings)
    traced = Traced(model, "imagine", horizon=2)
    copied = copy.deepcopy(traced)

    def check(rows, graph=traced, network=model):
        read = torch.randn(rows, N, H), torch.rand(rows, N, D), torch.randint(A, (rows, N))
        with torch.no_grad():
            expected = network.imagine(*read, horizon=2)
        found = graph(*read)
        assert not found.requires_grad
        torch.testing.assert_close(found, expected)
        return read, found

    for rows in (7, 1, 30, 7):
        check(rows)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
        model.obs_scale.mean.add_(1.0)
    read, found = check(7)
    again = copy.deepcopy(traced)  # traced anew, with weights of its own
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    torch.testing.assert_close(again(*read), found)
    assert copied(*read).shape == found.shape


@pytest.mark.parametrize("use_sale", [True, False])
@pytest.mark.parametrize("who", ["policy", "values"])
@pytest.mark.parametrize("kind", ["plain", "candidate"])
def test_imagination_starts_at_the_posterior_and_at_the_real_actions(use_sale, who, kind, episode):
    obs, actions = episode
    agent, model = agents()[kind], make_model(use_sale=use_sale, imagined_actions=who)
    hidden = agent.unroll(obs, actions)
    first = torch.full((B, T + 1, N), 3)  # what the agents do at the real steps
    seen = []
    embed = model.embed
    model.embed = lambda latent, chosen, z: (seen.append(chosen), embed(latent, chosen, z))[1]
    rollout = model.imagine(hidden, obs, first, horizon=3, agent=agent)
    assert rollout.shape == (B, T + 1, 4, N * 3)
    torch.testing.assert_close(rollout[:, :, 0], model.posterior(hidden, obs).mean)
    assert len(seen) == 3 and (seen[0] == 3).all()


def test_predictions_follow_the_actions_taken():
    model = make_model()
    latent, actions = torch.randn(B, T, N * 3), torch.randint(A, (B, T, N))
    predictions = model.predict(latent, actions, horizon=2)
    first = model.prior(model.embed(latent[:, 1], actions[:, 1]), latent[:, 1]).mean
    second = model.prior(model.embed(first, actions[:, 2]), first).mean
    torch.testing.assert_close(predictions[0][:, 1], first)
    torch.testing.assert_close(predictions[1][:, 1], second)


@pytest.mark.parametrize("sees_latent", [True, False])
@pytest.mark.parametrize("residual", [True, False])
def test_the_prior_says_what_changes_or_what_comes(residual, sees_latent):
    model = make_model(prior_residual=residual, prior_sees_latent=sees_latent)
    latent, actions = torch.randn(B, T, N * 3), torch.randint(A, (B, T, N))
    embeddings = model.embed(latent, actions)
    read = torch.cat([*embeddings, latent] if sees_latent else embeddings, -1)
    network = model.prior_net(read)[..., : N * 3]
    expected = network + latent if residual else network
    torch.testing.assert_close(model.prior(embeddings, latent).mean, expected)


def test_aggregators_read_the_present_last_or_all_at_once():
    rollout = torch.randn(B, T, 4, 6)
    gru = RolloutAggregator("gru", 6, 3, 5)
    assert gru(rollout).shape == (B, T, 5)
    backwards = rollout.flip(2).reshape(B * T, 4, 6).transpose(0, 1)
    torch.testing.assert_close(gru(rollout).view(-1, 5), gru.gru(backwards)[-1])
    concat = RolloutAggregator("concat", 6, 3, 5)
    assert concat.out_size == 24 and torch.equal(concat(rollout), rollout.flatten(2))
    linear = RolloutAggregator("linear", 6, 3, 5)
    expected = torch.tanh(linear.linear(rollout.flatten(2)))
    torch.testing.assert_close(linear(1e3 * rollout).abs().max(), torch.tensor(1.0))
    torch.testing.assert_close(linear(rollout), expected)
    with pytest.raises(ValueError, match="it must be one of"):
        RolloutAggregator("mean", 6, 3, 5)


@pytest.mark.parametrize("lengths", [[1, 1], [7, 7], [6, 6, 4, 1], [3]])
def test_our_gru_is_pytorchs(lengths):
    theirs = torch.nn.GRU(5, 4).double()
    ours = GRU(5, 4).double()
    ours.load_state_dict(theirs.state_dict())
    counts = [sum(length > t for length in lengths) for t in range(lengths[0])]
    x = torch.arange(sum(lengths) * 15.0).double().sin().view(-1, 3, 5)  # 3 rows of each
    weights = torch.randn(sum(lengths), 3, 4).double()

    def run(gru, *inputs):
        read = x.clone().requires_grad_()
        states = gru(read, *inputs)
        (states * weights).sum().backward()
        return states, read.grad, *(p.grad for p in gru.parameters())

    def reference(read):
        sizes = torch.tensor([3 * count for count in counts])
        packed = torch.nn.utils.rnn.PackedSequence(read.flatten(0, 1), sizes)
        return theirs(packed)[0].data.view(-1, 3, 4)

    reference.parameters = theirs.parameters
    expected = run(reference)
    for mine, his in zip(run(ours, Packing(counts)), expected, strict=True):
        torch.testing.assert_close(mine, his)
    with torch.no_grad():
        torch.testing.assert_close(ours(x, Packing(counts)), expected[0])
        if len(lengths) == 1:
            torch.testing.assert_close(ours(x), expected[0])


@pytest.mark.parametrize("name", ["plain", "previous", "candidate"])
def test_episodes_side_by_side_are_those_one_by_one(name, episode):
    agent = agents()[name]
    obs, actions = episode
    lengths = [T + 1, 3, 3, 1]
    counts = [sum(length > t for length in lengths) for t in range(T + 1)]
    packing = Packing(counts)
    places = [(t, rank) for t, count in enumerate(counts) for rank in range(count)]
    actions = torch.nn.functional.pad(actions, (0, 0, 0, 1))

    def pack(values):
        return torch.stack([values[rank % B, t] for t, rank in places])

    hidden = agent.run(pack(obs), pack(actions), packing)
    torch.testing.assert_close(hidden, pack(agent.unroll(obs, actions)))
