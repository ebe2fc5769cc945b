"""Compiled functions: the numbers of PyTorch's steps, wherever these may be left to them."""

import copy
import ctypes
import platform
import shutil

import numpy as np
import pytest
import torch

from rllib_mmsa.nets import beside, kernels
from rllib_mmsa.nets.frozen_imagination import FrozenImagination
from rllib_mmsa.nets.gru import GRU
from rllib_mmsa.nets.linear import linear_of_parts
from rllib_mmsa.nets.mixers import QMixer
from rllib_mmsa.nets.mlp import two_layers
from rllib_mmsa.nets.packing import Packing
from rllib_mmsa.nets.sale_agents import CandidateActionSaleAgent
from rllib_mmsa.nets.world_model import WorldModel
from tests.algorithms import build, learner, train_batch

#: Agents, actions, numbers of an observation: sizes that fill vectors and sizes that do not.
SIZES = [(3, 6, 18), (5, 11, 80), (2, 33, 7)]
ROWS = [1, 47, 48, 301]
FORAGING = {"env": "lbf", "env_config": {"task": "5x5-2p-1f-v3", "max_episode_steps": 12}}
STEPS = {"num_env_steps_sampled_lifetime": 0, "num_episodes_lifetime": 0}


def both_ways(compute):
    """What ``compute`` returns compiled, and by PyTorch."""
    with torch.no_grad():
        compiled = compute()
        kernels.use_kernels(False)
        expected = compute()
        kernels.use_kernels(True)
    return compiled, expected


def assert_alike(compute):
    compiled, expected = both_ways(compute)
    torch.testing.assert_close(compiled, expected, rtol=1e-5, atol=1e-5)
    assert not compiled.requires_grad


def test_the_library_is_there_where_a_compiler_is():
    if platform.machine() != "x86_64" or not shutil.which("cc"):
        pytest.skip("nothing to compile with here")
    assert kernels._library is not None


def both_with_gradients(compute, leaves, of_y):
    """What ``compute`` returns and its leaves' gradients, compiled, and by PyTorch."""
    found = []
    for used in (True, False):
        kernels.use_kernels(used)
        y = compute()
        assert ("_Compiled" in str(graph(y))) == used
        found.append([y, *torch.autograd.grad(y, leaves, of_y)])
    kernels.use_kernels(True)
    return found


def graph(y):
    """The names of all that goes back from y."""
    nodes, seen = [y.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [before for before, _ in node.next_functions]
    return {type(node).__name__ for node in seen}


@pytest.fixture(params=[1, 2])
def threads(request):
    """As many threads for an update."""
    beside.use_threads(request.param)
    yield
    beside.use_threads(1)


COUNTS = [[4] * 5, [20, 20, 13, 13, 13, 2, 1], [1], [40, 30]]


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("inputs", [64, 7])
def test_gru_over_episodes_of_any_length(counts, inputs, kind):
    gru, packing = GRU(inputs, 64), Packing(counts, torch.device("cpu"))
    x = 3 * torch.randn(sum(counts), 5, inputs)
    assert_alike(lambda: gru(x, packing))


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize(("inputs", "size"), [(64, 64), (7, 48), (33, 16)])
@pytest.mark.usefixtures("threads")
def test_gradients_of_a_gru(counts, inputs, size, kind):
    gru, packing = GRU(inputs, size), Packing(counts, torch.device("cpu"))
    x = torch.randn(5, sum(counts), inputs, requires_grad=True)
    of_states = torch.randn(5, sum(counts), size).transpose(0, 1)  # with gaps, as x

    def run():
        return gru(x.transpose(0, 1), packing)

    compiled, expected = both_with_gradients(run, [x, *gru.parameters()], of_states)
    for found, wanted in zip(compiled, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-5)
    leaves = list(gru.parameters())
    alone = torch.autograd.grad(gru(x.detach().transpose(0, 1), packing), leaves, of_states)
    for found, wanted in zip(alone, compiled[2:], strict=True):
        assert torch.equal(found, wanted)  # nobody asks for that of x


def test_gru_takes_the_sigmoids_of_large_numbers(kind):
    gru = GRU(8, 16)
    x = torch.tensor([-1e30, -200.0, -20.0, 0.0, 20.0, 200.0, 1e30]).view(7, 1, 1)
    assert_alike(lambda: gru(x.expand(7, 2, 8)))


@pytest.mark.parametrize(("agents", "state", "embed", "wide"), [(3, 20, 32, 64), (5, 121, 16, 20)])
@pytest.mark.parametrize("rows", ROWS)
def test_mixer(agents, state, embed, wide, rows, kind):
    mixer = QMixer(agents, state, embed, wide)
    q_values, whole = 3 * torch.randn(rows, agents), torch.randn(rows, state)
    assert_alike(lambda: mixer(q_values, whole))
    assert_alike(lambda: mixer(q_values, whole[:, :9], whole[:, 9:]))


def make_layer(inputs, outputs):
    return (
        torch.randn(outputs, inputs, requires_grad=True),
        torch.randn(outputs, requires_grad=True),
    )


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("with_linear", [False, True])
@pytest.mark.parametrize(("inputs", "width", "outputs"), [(18, 64, 32), (100, 20, 33), (7, 5, 1)])
def test_two_layers_and_their_gradients(inputs, width, outputs, with_linear, rows, kind):
    """Of all weights, and of the part that asks for one; the same as PyTorch's."""
    parts = torch.randn(rows, inputs - 3, requires_grad=True), torch.randn(rows, 3)
    layers = [make_layer(inputs, width), make_layer(width, outputs)]
    layers += [make_layer(inputs, outputs)] * with_linear
    of_y = torch.randn(outputs, rows).t()  # gradients may come with gaps
    asked = []

    def results(used):
        kernels.use_kernels(used)
        y = two_layers(parts, *layers)
        asked.append("_Compiled" in type(y.grad_fn).__name__)
        leaves = [parts[0], *(tensor for layer in layers for tensor in layer)]
        return [y, *torch.autograd.grad(y, leaves, of_y)]

    expected, compiled = results(False), results(True)
    assert asked == [False, True]
    for found, wanted in zip(compiled, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    parts[0].requires_grad_(False)  # no part does
    [of_weight] = torch.autograd.grad(two_layers(parts, *layers), [layers[0][0]], of_y)
    torch.testing.assert_close(of_weight, expected[2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(96, 64), (100, 33), (7, 1)])
def test_a_layer_and_its_gradients(inputs, outputs, with_bias, rows, kind):
    parts = torch.randn(rows, 3), torch.randn(rows, inputs - 3, requires_grad=True)
    weight, bias = make_layer(inputs, outputs)
    of_y, given = torch.randn(outputs, rows).t(), bias if with_bias else None

    def results(used):
        kernels.use_kernels(used)
        y = linear_of_parts(parts, weight, given)
        assert ("_Compiled" in type(y.grad_fn).__name__) == used
        leaves = [parts[1], weight] + [bias] * with_bias
        return [y, *torch.autograd.grad(y, leaves, of_y)]

    for found, wanted in zip(results(True), results(False), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_two_layers_within_a_trace_are_pytorchs(kind):
    """A trace keeps what is compiled as a constant."""
    layers = [tuple(t.detach() for t in make_layer(*sizes)) for sizes in ((6, 16), (16, 4))]
    traced = torch.jit.trace(lambda x: two_layers([x], *layers), torch.randn(5, 6))
    x = torch.randn(9, 6)
    torch.testing.assert_close(traced(x), two_layers([x], *layers), rtol=1e-5, atol=1e-5)


def make_agent(agents, actions, obs, normaliser="avg_l1"):
    return CandidateActionSaleAgent(
        num_agents=agents, num_actions=actions, obs_size=obs, hidden_dim=24,
        sale_dim=12, sale_hidden_dim=40, sale_head_dim=20, normaliser=normaliser,
    )  # fmt: skip


def some_rows(rows, agents, actions, obs):
    """hidden, obs, legal actions (one or more everywhere), one legal action each."""
    chosen = torch.randint(actions, (rows, agents))
    legal = (torch.rand(rows, agents, actions) < 0.5).scatter_(-1, chosen[..., None], True)
    return torch.randn(rows, agents, 24), torch.randn(rows, agents, obs), legal, chosen


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("sizes", SIZES)
def test_values_of_candidate_actions(sizes, rows, kind):
    agent = make_agent(*sizes)
    hidden, obs, legal, chosen = some_rows(rows, *sizes)
    prepared = agent.prepare(hidden, agent.encode_obs(obs))  # with gradient, as in learning
    assert_alike(lambda: agent.legal_q(prepared, legal)[legal])
    assert_alike(lambda: agent.legal_q(agent.prepare(hidden, agent.encode_obs(obs)), legal)[legal])
    assert_alike(lambda: agent.chosen_q(agent.prepare(hidden, agent.encode_obs(obs)), chosen))
    assert_alike(lambda: agent.q_values(hidden, obs))


@pytest.mark.parametrize("rows", [*ROWS, 1100])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.usefixtures("threads")
def test_gradients_of_chosen_actions_values(sizes, rows, kind):
    """Of the hidden state and of all weights that learn from them: f and g do not."""
    agent = make_agent(*sizes)
    hidden, obs, legal, chosen = some_rows(rows, *sizes)
    hidden.requires_grad_()
    encoders = {id(weight) for weight in agent.sale.encoder_parameters()}
    layers = (agent.sale, agent.from_state, agent.from_action, agent.head, agent.per_action)
    weights = [w for net in layers for w in net.parameters() if id(w) not in encoders]

    def value():
        return agent.chosen_q(agent.prepare(hidden, agent.encode_obs(obs)), chosen)

    of_values = torch.randn(rows, sizes[0])
    compiled, expected = both_with_gradients(value, [hidden, *weights], of_values)
    assert len(compiled) == 10
    both = agent.legal_and_chosen_q(agent.prepare(hidden, agent.encode_obs(obs)), legal, chosen)
    assert not both[0].requires_grad
    assert torch.equal(both[1], compiled[0])
    torch.testing.assert_close(both[0][legal], agent.q_values(hidden, obs)[legal].detach())
    for found, wanted in zip(compiled, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-4)
    agent.zero_grad()
    hidden.requires_grad_(False)  # nobody asks for its own
    value().backward(of_values)
    torch.testing.assert_close(agent.head.weight.grad, expected[-3], rtol=1e-4, atol=2e-4)
    assert all(weight.grad is None for weight in agent.sale.encoder_parameters())


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("sizes", SIZES)
def test_imagination(sizes, rows, kind):
    agents, actions, obs_size = sizes
    model = WorldModel(agents, actions, obs_size, 24, latent_dim=5, width=20)
    imagine = FrozenImagination(model, 3)
    copied = copy.deepcopy(imagine)
    hidden, obs, _, chosen = some_rows(rows, *sizes)
    for _ in range(2):
        assert_alike(lambda: imagine(hidden, obs, chosen))
        with torch.no_grad():
            expected = model.imagine(hidden, obs, chosen, horizon=3)
            torch.testing.assert_close(imagine(hidden, obs, chosen), expected, rtol=1e-5, atol=1e-5)
            for parameter in model.parameters():  # weights and statistics of later
                parameter.add_(0.05 * torch.randn_like(parameter))
        model.hidden_scale.update(1 + hidden[None], torch.ones(1, rows))
    with torch.no_grad():
        assert not torch.equal(copied(hidden, obs, chosen), imagine(hidden, obs, chosen))


def test_a_row_does_not_depend_on_the_rows_beside_it(kind):
    sizes = agents, actions, obs_size = SIZES[0]
    agent, model = make_agent(*sizes), WorldModel(agents, actions, obs_size, 24, 5, width=20)
    hidden, obs, legal, chosen = some_rows(101, *sizes)
    imagine = FrozenImagination(model, 2)

    def alone(function, *values):
        with torch.no_grad():
            whole = function(*values)
            parts = [function(*(v[i] for v in values)) for i in (slice(0, 13), slice(13, None))]
        torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)

    alone(imagine, hidden, obs, chosen)
    alone(agent.q_values, hidden, obs)

    def legal_values(hidden, obs, legal):
        prepared = agent.prepare(hidden, agent.encode_obs(obs))
        return agent.legal_q(prepared, legal).masked_fill(~legal, 0)

    alone(legal_values, hidden, obs, legal)


@pytest.mark.parametrize(
    "setting",
    [
        {"use_sale": False},
        {"posterior_sees_obs": False},
        {"prior_residual": False},
        {"prior_sees_latent": False},
        {"rollout_latent": "embedding"},
        {"normaliser": "layer"},
    ],
)
def test_other_readings_are_left_to_pytorch(setting, kind):
    model = WorldModel(3, 6, 18, 24, latent_dim=5, width=20, **setting)
    hidden, obs, _, chosen = some_rows(10, 3, 6, 18)
    compiled, expected = both_ways(lambda: FrozenImagination(model, 3)(hidden, obs, chosen))
    assert torch.equal(compiled, expected)


def test_what_it_does_not_know_is_left_to_pytorch(kind):
    agent, (hidden, obs, *_) = make_agent(3, 6, 18, "layer"), some_rows(10, 3, 6, 18)
    compiled, expected = both_ways(lambda: agent.q_values(hidden, obs))
    assert torch.equal(compiled, expected)
    x = torch.zeros(1)
    assert kernels.kernels_for(x) is None  # gradients are recorded
    with torch.no_grad():
        assert kernels.kernels_for(x) is kind
        assert kernels.kernels_for(x.double()) is None
        assert kernels.kernels_for(x.to("meta")) is None
    gru = GRU(4, 10)  # fills no vector
    compiled, expected = both_ways(lambda: gru(torch.ones(3, 2, 4)))
    assert torch.equal(compiled, expected)


def test_tensors_with_gaps_are_refused(kind):
    gru = GRU(6, 16)
    with pytest.raises(ctypes.ArgumentError, match=r"\(2, 6\) is not contiguous"):
        kind.gru(torch.randn(6, 2).t(), list(gru.parameters()), [2])


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("name", ["QMIX", "MMSA"])
def test_an_update_is_the_same_but_for_rounding(name, kind):
    found: list[list[dict]] = []
    for used in (True, False):
        algorithm = build(name, **FORAGING, hidden_dim=16, compiled_kernels=used)
        with torch.no_grad():
            assert (kernels.kernels_for(torch.zeros(1)) is not None) == used
        batch = train_batch(algorithm.env_runner.sample(num_episodes=8))
        found.append([])
        for _ in range(2):  # MMSA's first one measures the world model, which is left to PyTorch
            [result] = algorithm.learner_group.update(batch=batch, timesteps=STEPS)
            found[-1].append({key: value.peek() for key, value in result["team"].items()})
        assert learner(algorithm)._num_updates == 2
        algorithm.stop()
    kernels.use_kernels(True)
    # RMSprop's first step has the size of the learning rate wherever a gradient is not 0.
    for compiled, expected, rtol in zip(*found, (1e-4, 1e-3), strict=True):
        assert compiled.keys() == expected.keys()
        for key in expected:
            np.testing.assert_allclose(
                compiled[key], expected[key], rtol=rtol, atol=1e-6, err_msg=key
            )
