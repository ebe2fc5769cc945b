"""MAPPO and IPPO: what policy and critic see, what is learned from, tests, checkpoints, files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.evaluation.postprocessing import Postprocessing

from env_registry.contract import ACTION_MASK, AGENT_ID, OBS, STATE, TEAM, agent_space
from rllib_mmsa import IPPOConfig, MAPPOConfig
from rllib_mmsa.command.evaluate import evaluate
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.rllib.ppo import PolicyModule
from rllib_mmsa.rllib.ppo.episodes import log_probabilities, to_rllib
from rllib_mmsa.team import MeaninglessFolder, load_team

FORAGING = {"task": "5x5-2p-1f-v2", "max_episode_steps": 8, "mask_invalid_actions": True}
SMALL = {
    "hidden_dim": 8,
    "train_batch_episodes": 6,
    "num_envs_per_env_runner": 3,
    "min_sample_timesteps_per_iteration": 20,
    "evaluation_interval_env_steps": None,
}


def build(config_class: type = MAPPOConfig, **settings: Any) -> Any:
    """A small algorithm on a small field."""
    config = config_class().environment("lbf", env_config=FORAGING).debugging(seed=1)
    return config.update_from_dict({**SMALL, **settings}).build_algo()


@pytest.fixture(scope="module")
def mappo(ray_session):
    algorithm = build()
    yield algorithm
    algorithm.stop()


@pytest.fixture(scope="module")
def played(mappo):
    return mappo.env_runner.sample()


def weights(algorithm: Any) -> dict[str, torch.Tensor]:
    """The learner's, copied."""
    module = algorithm.learner_group._learner.module[TEAM]
    return {name: value.clone() for name, value in module.state_dict().items()}


# The module.


def random_observation(module: PolicyModule, rows: int) -> dict[str, torch.Tensor]:
    sizes = {name: box.shape[0] for name, box in module.observation_space.spaces.items()}
    seen = {name: torch.rand(rows, size) for name, size in sizes.items()}
    seen[ACTION_MASK] = (torch.rand(rows, sizes[ACTION_MASK]) < 0.5).to(torch.int8)
    seen[ACTION_MASK][:, 0] = 1
    return seen


def made(critic: str) -> PolicyModule:
    import env_registry

    team = env_registry.make("lbf").observation_spaces[TEAM]
    return PolicyModule(
        observation_space=agent_space(team, 0),
        action_space=spaces.Discrete(6),
        model_config={"critic": critic, "hidden_dim": 16},
    )


@pytest.mark.parametrize(
    ("critic", "sees", "ignores"), [("central", STATE, OBS), ("own", OBS, STATE)]
)
def test_what_the_critic_sees(critic, sees, ignores):
    module = made(critic)
    seen = random_observation(module, 5)
    values = module.compute_values({Columns.OBS: seen})
    assert values.shape == (5,)

    def changes(name: str) -> bool:
        other = {**seen, name: torch.rand_like(seen[name])}
        return not torch.equal(module.compute_values({Columns.OBS: other}), values)

    assert changes(sees) and changes(AGENT_ID) and not changes(ignores)


def test_the_policy_sees_the_observation_and_who_it_is_and_obeys_the_mask():
    module = made("central")
    seen = random_observation(module, 64)
    logits = module.forward_train({Columns.OBS: seen})[Columns.ACTION_DIST_INPUTS]
    assert logits.shape == (64, 6)
    illegal = seen[ACTION_MASK] == 0
    assert (logits.softmax(-1)[illegal] == 0).all() and (logits[~illegal].abs() < 1e3).all()
    distribution = torch.distributions.Categorical(logits=logits)
    assert distribution.entropy().isfinite().all()
    for name, matters in ((OBS, True), (AGENT_ID, True), (STATE, False)):
        other = {**seen, name: torch.rand_like(seen[name])}
        assert torch.equal(module.logits(other), logits) != matters


# What is learned from.


def test_a_batch_is_whole_episodes_and_no_action_is_illegal(played):
    assert len(played) == SMALL["train_batch_episodes"]
    for episode in played:
        taken = np.take_along_axis(
            episode.action_mask[:-1], episode.actions[..., None].astype(np.int64), -1
        )
        assert (taken == 1).all()
        assert episode.logits.shape == (*episode.actions.shape, 6)
        probabilities = np.exp(log_probabilities(episode.logits))
        assert np.allclose(probabilities.sum(-1), 1, atol=1e-5)
        assert (probabilities[episode.action_mask[:-1] == 0] == 0).all()


def test_rllib_s_episodes_are_the_team_s(played):
    episode = max(played, key=len)
    rllibs = to_rllib(episode, bootstrap_truncated=True)
    assert len(rllibs) == len(episode)
    assert rllibs.get_return() == pytest.approx(episode.episode_return, abs=1e-5)
    for i, own in enumerate(rllibs.agent_episodes.values()):
        assert own.module_id == TEAM and own.is_terminated == episode.terminated
        assert (own.get_observations(slice(0, len(own)))[OBS] == episode.obs[:-1, i]).all()
        assert (own.get_actions() == episode.actions[:, i]).all()


def targets(algorithm: Any, episode: Any, bootstrap: bool) -> tuple[np.ndarray, np.ndarray]:
    """Value targets and values of the first agent, (L,) and (L + 1,), by RLlib's own pipeline."""
    learner = algorithm.learner_group._learner
    batch = learner._learner_connector(
        rl_module=learner.module,
        batch={},
        episodes=[to_rllib(episode, bootstrap)],
        shared_data={},
        metrics=learner.metrics,
    )[TEAM]
    with torch.no_grad():
        values = learner.module[TEAM].compute_values(batch)
    steps = len(episode)
    assert batch[Columns.LOSS_MASK].sum() == 2 * steps
    return batch[Postprocessing.VALUE_TARGETS][:steps].numpy(), values[: steps + 1].numpy()


@pytest.mark.parametrize("bootstrap", [True, False])
def test_a_time_limit_bootstraps_unless_it_is_an_end(mappo, played, bootstrap):
    episode = next(each for each in played if not each.terminated)
    found, values = targets(mappo, episode, bootstrap)
    following = values[-1] if bootstrap else 0.0
    gamma, lambda_ = mappo.config.gamma, mappo.config.lambda_
    advantage, expected = 0.0, []
    for t in reversed(range(len(episode))):
        error = episode.rewards[t] / 2 + gamma * following - values[t]
        advantage = error + gamma * lambda_ * advantage
        following = values[t]
        expected.append(advantage + values[t])
    assert np.allclose(found, expected[::-1], atol=1e-5)


@pytest.mark.parametrize("config_class", [MAPPOConfig, IPPOConfig])
def test_an_iteration_learns_and_the_runner_gets_the_policy(ray_session, config_class):
    algorithm = build(config_class)
    before = weights(algorithm)
    result = algorithm.train()
    after = weights(algorithm)
    assert all(not torch.equal(before[name], after[name]) for name in before)
    acting = algorithm.env_runner.module[TEAM].state_dict()
    assert acting and all(torch.equal(after[name], value) for name, value in acting.items())
    assert not [name for name in acting if name.startswith("critic")]
    assert result["num_env_steps_sampled_lifetime"] >= 20
    learned = result["learners"][TEAM]
    assert np.isfinite(learned["total_loss"]) and 0 < learned["entropy"] < np.log(6)
    algorithm.stop()


@pytest.mark.parametrize(("size", "updates"), [(None, 4), (20, 8)])
def test_an_epoch_is_the_whole_batch_unless_minibatches_are_set(mappo, played, size, updates):
    learner, seen = mappo.learner_group._learner, []
    config = mappo.config.copy(copy_frozen=False).training(minibatch_size=size)
    rows = sum(2 * (len(episode) + 1) for episode in played)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mappo, "config", config)
        patch.setattr(mappo, "_send_weights", lambda: None)
        patch.setattr(mappo.collector, "collect", lambda: (played, []))
        update = learner._update
        patch.setattr(learner, "_update", lambda batch: seen.append(batch[TEAM]) or update(batch))
        mappo.training_step()
    assert {len(batch["obs"][OBS]) for batch in seen} == {size or rows}
    assert len(seen) >= updates


def test_a_loss_that_is_not_finite_ends_the_run(ray_session):
    algorithm = build(lr=1.0, grad_clip=None)
    with torch.no_grad():
        next(algorithm.learner_group._learner.module[TEAM].critic.parameters()).fill_(float("nan"))
    with pytest.raises(RuntimeError, match="training has diverged: the loss is nan. Lower lr"):
        algorithm.train()
    algorithm.stop()


# Tests by env steps, and checkpoints.


def test_tests_are_greedy_and_by_env_steps(ray_session):
    algorithm = build(evaluation_interval_env_steps=60, evaluation_duration=7)
    results = [algorithm.train() for _ in range(4)]
    tested = [r["num_env_steps_sampled_lifetime"] for r in results if "evaluation" in r]
    assert tested[0] == results[0]["num_env_steps_sampled_lifetime"]
    assert len({steps // 60 for steps in tested}) == len(tested) > 1
    last = next(r for r in reversed(results) if "evaluation" in r)["evaluation"]["env_runners"]
    assert last["num_episodes"] == 7
    assert results[-1]["test_return"] == pytest.approx(last["episode_return_mean"])
    greedy = algorithm.eval_env_runner.sample(num_episodes=3, explore=False)
    for episode in greedy:
        with torch.no_grad():
            logits = algorithm.eval_env_runner._logits(episode.obs, episode.action_mask)
        assert (logits.argmax(-1).numpy()[:-1] == episode.actions).all()
    algorithm.stop()


def test_a_resumed_run_equals_one_that_went_on(ray_session, tmp_path):
    first = build()
    first.train()
    first.save_to_path(str(tmp_path))
    first.train()
    second = build()
    second.restore_from_path(str(tmp_path))
    assert second.iteration == 1
    second.train()
    one, other = weights(first), weights(second)
    assert all(torch.equal(one[name], other[name]) for name in one)
    first.stop()
    second.stop()
    with pytest.raises(MeaninglessFolder, match="MAPPO and IPPO write none: `rllib evaluate`"):
        load_team(tmp_path)
    found = evaluate(tmp_path, episodes=4, seed=1)
    assert found.algorithm == "MAPPO" and len(found.returns) == 4
    assert not found.drawn and "drawn" not in found.summary()


# Settings.


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"critic": "state"}, r"critic is 'state'; it must be one of \('central', 'own'\)"),
        ({"clip_param": 0}, "clip_param is 0; it must be a number above 0"),
        ({"minibatch_size": 0}, "minibatch_size is 0; it must be None or a whole number"),
        ({"env_config": {"grouped": False}}, "grouped is for RLlib's own algorithms; MAPPO plays"),
        ({"evaluation_duration": "auto"}, "write a number of episodes, such as 100"),
    ],
)
def test_bad_settings_are_said_in_words(settings, words):
    config = MAPPOConfig().environment("lbf").update_from_dict(settings)
    with pytest.raises(ValueError, match=words):
        config.validate()


def test_a_setting_of_the_q_learners_is_refused_by_name():
    with pytest.raises(ConfigError, match="unknown argument of .* 'replay_capacity_episodes'"):
        MAPPOConfig().training(replay_capacity_episodes=10)
    assert MAPPOConfig().training(train_batch_size=32).train_batch_episodes == 32


def test_the_two_differ_in_what_the_critic_sees():
    one, other = MAPPOConfig().to_dict(), IPPOConfig().to_dict()
    assert {key for key in one if repr(one[key]) != repr(other[key])} == {"critic"}


# RLlib's own PPO.


def test_rllibs_own_ppo_learns_on_the_agents_with_the_same_module(ray_session):
    config = (
        PPOConfig()
        .environment("lbf", env_config={**FORAGING, "grouped": False, "limit_is_end": True})
        .env_runners(num_env_runners=0, num_envs_per_env_runner=2)
        .training(train_batch_size=32, minibatch_size=None, num_epochs=1)
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, *_, **__: "shared")
        .rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=PolicyModule, model_config={"critic": "central", "hidden_dim": 8}
            )
        )
    )
    algorithm = config.build_algo()
    result = algorithm.train()
    assert np.isfinite(result["learners"]["shared"]["total_loss"])
    algorithm.stop()
