"""A team outside the trainer acts as the trainer's does, each agent from what it sees alone."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE

import rllib_mmsa
from env_registry.contract import ACTION_MASK, OBS, TEAM
from rllib_mmsa.rllib.runner import EpisodeRunner
from rllib_mmsa.team import MeaninglessFolder
from tests.algorithms import FORAGING, build

pytestmark = pytest.mark.usefixtures("ray_session")

KINDS = {
    "MMSA": ("MMSA", {}),
    "No-SALE": ("MMSA", {"use_sale": False, "normaliser": "layer"}),
    "layer": ("MMSA", {"normaliser": "layer"}),
    "scaled": ("QMIX", {"normalise_observations": True}),
    "bare": ("VDN", {"observe_last_action": False, "observe_agent_id": False}),
}


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory, ray_session):
    """A trained algorithm, its checkpoint, and greedy episodes by its runner."""
    name, settings = KINDS[request.param]
    algorithm = build(name, **FORAGING, **settings)
    for _ in range(3):
        algorithm.train()
    folder = tmp_path_factory.mktemp("saved") / "checkpoint"
    algorithm.save_to_path(str(folder))
    config = algorithm.config.copy(copy_frozen=False)
    config.num_envs_per_env_runner = 1
    runner = EpisodeRunner(config=config, worker_index=0)
    weights = algorithm.learner_group.get_state(
        components=f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}", inference_only=True
    )
    runner.module.set_state(weights[COMPONENT_LEARNER][COMPONENT_RL_MODULE])
    episodes = runner.sample(num_episodes=3, explore=False)
    runner.stop()
    algorithm.stop()
    return folder, episodes


def test_it_acts_as_the_trainer_does(trained):
    folder, episodes = trained
    team = rllib_mmsa.load_team(folder)
    for episode in episodes:
        team.reset()
        for t, taken in enumerate(episode.actions):
            seen = {OBS: episode.obs[t], ACTION_MASK: episode.action_mask[t]}
            given = {TEAM: seen} if t % 2 else seen  # an environment's, or its part
            chosen = team.act(given)
            assert chosen.shape == (team.num_agents,) and (chosen == taken).all()


def test_each_agent_acts_alone_as_it_does_in_the_team(trained):
    folder, episodes = trained
    agents = [rllib_mmsa.load_team(folder).agent(i) for i in range(2)]
    for episode in episodes:
        for i, agent in enumerate(agents):
            agent.reset()
            for t, taken in enumerate(episode.actions):
                chosen = agent.act(episode.obs[t, i], episode.action_mask[t, i])
                assert chosen == taken[i] and isinstance(chosen, int)


def test_several_environments_and_one_that_begins_anew(trained):
    folder, episodes = trained
    team, alone = rllib_mmsa.load_team(folder), rllib_mmsa.load_team(folder)
    steps = min(map(len, episodes))
    obs = np.stack([episode.obs[:steps] for episode in episodes], 1)  # (T, E, N, D)
    for t in range(steps):
        if t == 2:
            team.reset([1])
        chosen = team.act(obs[t])
        assert chosen.shape == (3, team.num_agents)
    alone.reset()
    for t in range(2, steps):
        last = alone.act(obs[t, 1])
    if steps > 2:
        assert (last == chosen[1]).all()
    one = team.agent(0)
    assert one.act(obs[0, :, 0]).shape == (3,)


def test_what_does_not_fit_is_said(trained):
    team = rllib_mmsa.load_team(trained[0])
    size = (team.num_agents, team.obs_size)
    with pytest.raises(ValueError, match=r"observations has shape \(3, 3\); it must be \("):
        team.act(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="action_mask has shape"):
        team.act({OBS: np.zeros(size), ACTION_MASK: np.ones(3)})
    with pytest.raises(ValueError, match="hold 'observation'; they must hold 'obs'"):
        team.act({"observation": np.zeros(size)})
    with pytest.raises(ValueError, match="hold nothing; they must hold 'obs'"):
        team.act({})
    with pytest.raises(ValueError, match="hold NaN or an infinity"):
        team.act(np.full(size, np.nan))
    mask = np.ones((team.num_agents, team.num_actions))
    mask[1] = 0
    with pytest.raises(ValueError, match="allows agent 1 no action"):
        team.act({OBS: np.zeros(size), ACTION_MASK: mask})
    team.act(np.zeros((2, *size)))
    with pytest.raises(ValueError, match=r"of 3 environments, after 2 before; call reset\(\)"):
        team.act(np.zeros((3, *size)))
    with pytest.raises(ValueError, match="there is no agent 7; there are 0 to 1"):
        team.agent(7)


def test_folders_that_hold_no_team(trained, tmp_path):
    folder = trained[0]
    with pytest.raises(MeaninglessFolder, match=r"holds no team\.json\. MAPPO and IPPO"):
        rllib_mmsa.load_team(tmp_path)
    with pytest.raises(MeaninglessFolder, match="does not exist; name the folder"):
        rllib_mmsa.load_team(tmp_path / "elsewhere")
    for file in ("team.json", "team.safetensors"):
        shutil.copy(folder / file, tmp_path)
    said = json.loads((tmp_path / "team.json").read_text())
    for changed, words in (
        ({**said, "format": 2}, "has format 2, and this version reads up to 1"),
        ({}, r"team\.json' says no format; is it a team's"),
        ({"format": 1}, "lacks algorithm, settings, environment"),
        ({**said, "settings": {**said["settings"], "hidden_dim": 9}}, "do not fit what its team"),
    ):
        (tmp_path / "team.json").write_text(json.dumps(changed))
        with pytest.raises(MeaninglessFolder, match=words):
            rllib_mmsa.load_team(tmp_path)
    (tmp_path / "team.json").write_text(json.dumps(said))
    (tmp_path / "team.safetensors").write_bytes(b"nothing")
    with pytest.raises(MeaninglessFolder, match="cannot be read .*; is the copy complete"):
        rllib_mmsa.load_team(tmp_path)


class Hostile:
    def __reduce__(self):
        return print, ("this ran",)


def test_no_pickle_is_opened(trained, tmp_path, capsys):
    import pickle

    folder = tmp_path / "copy"
    shutil.copytree(trained[0], folder)
    for path in folder.rglob("*.pkl"):
        path.write_bytes(pickle.dumps(Hostile()))
    rllib_mmsa.load_team(folder).act(np.zeros((2, rllib_mmsa.load_team(folder).obs_size)))
    assert "this ran" not in capsys.readouterr().out
    pickle.loads(next(folder.rglob("*.pkl")).read_bytes())
    assert "this ran" in capsys.readouterr().out  # as it would have


def test_a_network_of_the_user_s_own_is_left_out(tmp_path):
    from rllib_mmsa.method.agents import RecurrentAgent
    from rllib_mmsa.rllib.module import QModule

    class Own(RecurrentAgent):
        pass

    class Module(QModule):
        def make_agent(self):
            return Own(self.num_agents, self.num_actions, self.obs_size, 8)

    algorithm = build("QMIX", module_class=Module)
    algorithm.save_to_path(str(tmp_path))
    assert not (tmp_path / "team.json").exists()
    algorithm.stop()
