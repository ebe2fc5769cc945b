"""HPN's layers: what they compute, what permutations do to it, and whole teams of such agents."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from gymnasium import spaces

import rllib_mmsa
from env_registry.contract import ContractError, Entity, LaidOut, in_a_row
from rllib_mmsa.command.export import export
from rllib_mmsa.method import networks
from rllib_mmsa.method.agents import RecurrentAgent
from rllib_mmsa.method.entities import EntityHead, EntityInput, EntityValues, kinds_of
from rllib_mmsa.method.settings import MMSASettings, Settings
from rllib_mmsa.rllib import ALGORITHMS
from tests.algorithms import FORAGING, Q_LEARNERS, build, learner, weights

N, A, H, K = 3, 7, 8, 5
#: Two numbers of no thing, two allies, three enemies, the agent itself, one number of no thing.
LAYOUT = (
    *in_a_row("ally", 2, 2, (0.0,) * 2),
    *in_a_row("enemy", 3, 6, (0.0,) * 4, first_action=3),
    Entity("self", 18, 3),
)
D = 22
ENEMIES, ALLIES = (range(6, 18), 4), (range(2, 6), 2)


class Sizes:
    num_agents, num_actions, obs_size, state_size, observation_layout = N, A, D, 4, LAYOUT


def make(settings: Settings) -> RecurrentAgent:
    torch.manual_seed(0)
    return networks.make_agent(Sizes(), settings).double()


def hpn(**settings) -> RecurrentAgent:
    return make(Settings(agent="hpn", hidden_dim=H, hpn_hyper_dim=K, **settings))


def permuted(obs: torch.Tensor, things: tuple[range, int], order: list[int]) -> torch.Tensor:
    """Observations with the things of a kind in another order."""
    numbers, size = things
    moved = obs.clone()
    blocks = obs[..., numbers].unflatten(-1, (-1, size))
    moved[..., numbers] = blocks[..., order, :].flatten(-2)
    return moved


@pytest.fixture
def obs() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 4, N, D, dtype=torch.float64)


def test_kinds_are_what_shares_weights() -> None:
    ally, enemy = kinds_of(LAYOUT)
    assert (ally.size, ally.starts, ally.actions) == (2, (2, 4), (None, None))
    assert (enemy.size, enemy.starts, enemy.actions) == (4, (6, 10, 14), (3, 4, 5))
    other_size = kinds_of([Entity("unit", 0, 2), Entity("unit", 2, 3), Entity("unit", 5, 2)])
    assert [(kind.size, kind.starts) for kind in other_size] == [(2, (0, 5)), (3, (2,))]


def test_the_first_layer_is_a_sum_over_things_of_weights_made_from_them(obs) -> None:
    torch.manual_seed(2)
    layer = EntityInput(D + 2, H, layout=LAYOUT, width=K).double()
    x = torch.cat([obs, torch.randn(*obs.shape[:-1], 2, dtype=obs.dtype)], -1)
    found = layer(x)[1, 2, 0]
    x = x[1, 2, 0]
    own = torch.cat([x[:2], x[18:]])
    expected = layer.of_own.weight @ own + layer.of_own.bias
    for entity in LAYOUT[:-1]:
        of_kind = layer.of_kinds[entity.kind == "enemy"]
        e = x[entity.start : entity.start + entity.size]
        k = torch.relu(of_kind.hidden.weight @ e + of_kind.hidden.bias)
        made = (of_kind.weights.weight @ k + of_kind.weights.bias).view(entity.size, H)  # W(e)^T
        expected = expected + made.T @ e
    torch.testing.assert_close(found, expected)


def test_the_value_of_an_action_done_to_a_thing_has_weights_made_from_it(obs) -> None:
    torch.manual_seed(2)
    head = EntityHead(H, A, layout=LAYOUT, width=K).double()
    hidden = torch.randn(*obs.shape[:-1], H, dtype=obs.dtype)
    found, o, h = head(hidden, obs)[1, 2, 0], obs[1, 2, 0], hidden[1, 2, 0]
    expected = torch.zeros(A, dtype=obs.dtype)
    expected[[0, 1, 2, 6]] = head.of_state.weight @ h + head.of_state.bias
    [enemy] = head.of_kinds
    assert isinstance(enemy, EntityValues)
    for entity in LAYOUT[2:5]:
        e = o[entity.start : entity.start + entity.size]
        k = torch.relu(enemy.hidden.weight @ e + enemy.hidden.bias)
        made = enemy.weights.weight @ k + enemy.weights.bias  # w(e)
        expected[entity.action] = made @ h + enemy.bias(e)[0]
    torch.testing.assert_close(found, expected)


def test_the_order_of_things_says_nothing_and_values_change_places_with_them(obs) -> None:
    agent = hpn()
    none_yet = torch.full(obs.shape[:-2] + (N,), A)[:, :-1]
    h = agent.unroll(obs, none_yet)
    values = agent.q_values(h, obs)
    for things, order, actions in (
        (ALLIES, [1, 0], list(range(A))),
        (ENEMIES, [2, 0, 1], [0, 1, 2, 5, 3, 4, 6]),
    ):
        other = permuted(obs, things, order)
        assert not torch.equal(other, obs)
        torch.testing.assert_close(agent.unroll(other, none_yet), h)
        torch.testing.assert_close(agent.q_values(h, other), values[..., actions])
    # An ordinary agent is no such function.
    plain = make(Settings(hidden_dim=H))
    other = permuted(obs, ALLIES, [1, 0])
    assert not torch.allclose(plain.unroll(other, none_yet), plain.unroll(obs, none_yet))


def test_with_sale_the_recurrent_state_and_the_linear_part_of_the_values_keep_to_it(obs) -> None:
    agent = make(MMSASettings(agent="hpn", hidden_dim=H, hpn_hyper_dim=K))
    none_yet = torch.full(obs.shape[:-2] + (N,), A)[:, :-1]
    h, other = agent.unroll(obs, none_yet), permuted(obs, ENEMIES, [2, 0, 1])
    torch.testing.assert_close(agent.unroll(other, none_yet), h)
    values = agent.per_action(h, obs)
    torch.testing.assert_close(agent.per_action(h, other), values[..., [0, 1, 2, 5, 3, 4, 6]])
    # All values, and those of one action each, are the same function.
    every = agent.q_values(h, obs)
    for action in range(A):
        chosen = torch.full(obs.shape[:-1], action)
        torch.testing.assert_close(agent.q_value(h, obs, chosen), every[..., action])
    linear = agent.q_values(h, obs) - agent.per_action(h, obs)
    agent.per_action.of_state.weight.data.zero_()
    torch.testing.assert_close(agent.q_values(h, obs) - agent.per_action(h, obs), linear)


def test_acting_step_by_step_is_the_unrolled_episode(obs) -> None:
    agent = hpn().float()
    obs, state = obs.float(), agent.initial_state(2)
    actions = torch.randint(A, (2, 3, N), generator=torch.Generator().manual_seed(0))
    values = agent.q_values(agent.unroll(obs, actions), obs)
    for t in range(4):
        found, state = agent.step(obs[:, t], state)
        torch.testing.assert_close(found, values[:, t])
        if t < 3:
            state["last_action"] = actions[:, t]


def test_a_layout_of_the_agent_alone_is_an_ordinary_agent() -> None:
    layer = EntityInput(4, H, layout=[Entity("self", 0, 4)], width=K)
    head = EntityHead(H, A, layout=[Entity("self", 0, 4)], width=K)
    x, h = torch.randn(2, 4), torch.randn(2, H)
    torch.testing.assert_close(layer(x), layer.of_own(x))
    torch.testing.assert_close(head(h, x), head.of_state(h))


def test_a_space_carries_the_layout() -> None:
    box = spaces.Box(-1, 1, (N, D), np.float32)
    space = LaidOut(box, LAYOUT)
    assert space == box and box == space and space.shape == (N, D)
    again = pickle.loads(pickle.dumps(spaces.Dict({"obs": space})))
    assert again["obs"].layout == LAYOUT and again["obs"] == box


def test_the_native_engine_leaves_it_to_plain() -> None:
    verify = pytest.importorskip("rllib_mmsa.engine.native").verify
    for settings in (Settings(agent="hpn"), MMSASettings(agent="hpn")):
        assert verify(settings) == "agent: hpn is not compiled"


# Whole algorithms.


def test_an_environment_without_a_layout_is_refused_in_words(ray_session) -> None:
    with pytest.raises(ContractError, match="agent is 'hpn', and the environment") as said:
        build("QMIX", agent="hpn")
    for words in ("'counter'", "  rule:   agent: hpn reads", "`rllib docs environments`"):
        assert words in str(said.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"agent": "hnp"}, r"agent is 'hnp'; it must be one of \('rnn', 'hpn'\)"),
        ({"hpn_hyper_dim": 0}, "hpn_hyper_dim is 0; it must be a whole number"),
        (
            {"agent": "hpn", "normalise_observations": True},
            "normalise_observations is True; it must be False with agent: hpn",
        ),
    ],
)
def test_settings_that_cannot_be_right_are_refused(settings, words) -> None:
    config = ALGORITHMS["QMIX"].get_default_config().environment("lbf").update_from_dict(settings)
    with pytest.raises(ValueError, match=words):
        config.validate()


@pytest.mark.parametrize("name", Q_LEARNERS)
def test_every_algorithm_trains_saves_restores_and_exports(name, ray_session, tmp_path) -> None:
    algorithm = build(name, agent="hpn", hpn_hyper_dim=K, **FORAGING)
    before = weights(learner(algorithm).team_module)
    for _ in range(3):
        result = algorithm.train()
    assert result["engine"] == "plain"
    after = weights(learner(algorithm).team_module)
    moved = [key for key in before if not np.array_equal(before[key], after[key])]
    assert {"agent.input.of_kinds.0.weights.weight", "agent.input.of_own.bias"} <= {*moved}
    folder = tmp_path / "checkpoint_000000"
    algorithm.save_to_path(str(folder))

    restored = build(name, agent="hpn", hpn_hyper_dim=K, **FORAGING, seed=1)
    restored.restore_from_path(str(folder))
    for key, value in weights(learner(restored).team_module).items():
        np.testing.assert_array_equal(value, after[key])
    restored.stop()

    team = rllib_mmsa.load_team(folder)
    said = json.loads((folder / "team.json").read_text())["environment"]["observation_layout"]
    assert [entity["kind"] for entity in said] == ["food", "self", "player"]
    acts_as(algorithm, team)
    algorithm.stop()


@pytest.mark.slow
def test_runners_and_learners_in_other_processes_know_the_layout(ray_session) -> None:
    settings = {"num_env_runners": 1, "num_learners": 1, "evaluation_interval_env_steps": 20}
    tests = {"evaluation_duration": 2, "evaluation_num_envs": 2}
    algorithm = build("QMIX", agent="hpn", hpn_hyper_dim=K, **FORAGING, **settings, **tests)
    for _ in range(2):
        result = algorithm.train()
    assert np.isfinite(result["learners"]["team"]["td_loss"])
    assert "evaluation" in result
    algorithm.stop()


def acts_as(algorithm, team) -> None:
    """A loaded team's values are the trainer's on some observations."""
    module, rng = algorithm.get_module("team"), np.random.default_rng(0)
    state = module.agent.initial_state(4)
    theirs = team.network.agent.initial_state(4)
    for _ in range(3):
        seen = torch.from_numpy(rng.random((4, team.num_agents, team.obs_size), np.float32))
        with torch.no_grad():
            ours, state = module.agent.step(seen, state)
            found, theirs = team.network(seen, theirs)
        torch.testing.assert_close(found, ours)


@pytest.mark.slow
def test_onnx_is_the_team(ray_session, tmp_path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    algorithm = build("MMSA", agent="hpn", **FORAGING)
    algorithm.train()
    algorithm.save_to_path(str(tmp_path / "checkpoint_000000"))
    algorithm.stop()
    folder = export(tmp_path / "checkpoint_000000", str(tmp_path / "team"), onnx=True).folder
    team, rng = rllib_mmsa.load_team(folder), np.random.default_rng(0)
    session = runtime.InferenceSession(folder / "team.onnx")
    state = {k: v.numpy() for k, v in team.network.agent.initial_state(3).items()}
    for _ in range(4):
        seen = rng.random((3, team.num_agents, team.obs_size), np.float32)
        mask = np.ones((3, team.num_agents, team.num_actions), bool)
        actions, _, hidden = session.run(None, {"obs": seen, "action_mask": mask, **state})
        assert (actions == team.act({"obs": seen, "action_mask": mask})).all()
        np.testing.assert_allclose(hidden, team._state["hidden"].numpy(), atol=1e-5)
        state = {"hidden": hidden, "last_action": actions}


def test_a_folder_without_the_layout_is_said_in_words(ray_session, tmp_path) -> None:
    algorithm = build("QMIX", agent="hpn", **FORAGING)
    folder = tmp_path / "checkpoint_000000"
    algorithm.save_to_path(str(folder))
    algorithm.stop()
    file = folder / "team.json"
    said = json.loads(file.read_text())
    del said["environment"]["observation_layout"]
    file.write_text(json.dumps(said))
    with pytest.raises(ValueError, match="needs the layout of an observation"):
        rllib_mmsa.load_team(folder)
