"""Every callback of RLlib's new API stack is called as RLlib's own algorithms call it."""

from __future__ import annotations

import inspect

import pytest
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode

from tests.algorithms import SMALL, build, learner, weights

pytestmark = pytest.mark.usefixtures("ray_session")

#: Callbacks of the old stack, of offline data, and of runners that died.
NOT_HERE = {
    "on_create_policy",
    "on_learn_on_batch",
    "on_postprocess_trajectory",
    "on_sub_environment_created",
    "on_workers_recreated",
    "on_evaluate_offline_start",
    "on_evaluate_offline_end",
    "on_offline_eval_runners_recreated",
    "on_env_runners_recreated",  # tests/unit/test_runner_failures.py
}
CALLED: list[tuple[str, dict]] = []


def noting(name):
    def note(self, **kwargs):
        CALLED.append((name, kwargs))

    return note


NAMES = [name for name, _ in inspect.getmembers(RLlibCallback) if name.startswith("on_")]
Noting = type(
    "Noting", (RLlibCallback,), {"__module__": __name__, **{name: noting(name) for name in NAMES}}
)


@pytest.fixture(scope="module")
def called(ray_session, tmp_path_factory):
    """The calls of one iteration, an evaluation, a checkpoint and its restoring."""
    CALLED.clear()
    algorithm = build("QMIX", callbacks=Noting, evaluation_num_envs=2, evaluation_duration=2)
    algorithm.train()
    algorithm.evaluate()
    algorithm.restore(algorithm.save(str(tmp_path_factory.mktemp("saved"))))
    algorithm.stop()
    return list(CALLED)


def test_all_are_called_that_the_new_stack_has(called):
    assert {name for name, _ in called} == {*NAMES} - NOT_HERE


@pytest.mark.parametrize("name", sorted({*NAMES} - NOT_HERE))
def test_they_are_given_what_rllib_documents(called, name):
    documented = {
        parameter.name
        for parameter in inspect.signature(getattr(RLlibCallback, name)).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    } - {"worker", "base_env", "policies"}  # the old stack's
    given = next(kwargs for called_name, kwargs in called if called_name == name)
    assert documented <= {*given}


def test_an_episode_is_rllib_s_and_goes_through_all_its_callbacks(called):
    seen = [(name, kwargs["episode"]) for name, kwargs in called if "episode" in kwargs]
    episode = seen[0][1]
    assert type(episode) is MultiAgentEpisode
    own = [name for name, each in seen if each is episode]
    steps = len(episode)
    assert own == [
        "on_episode_created", "on_episode_start", *["on_episode_step"] * steps, "on_episode_end"
    ]  # fmt: skip
    assert steps > 1 and episode.is_done


def test_a_sample_is_the_episodes_that_have_ended(called):
    ended = [kwargs["episode"] for name, kwargs in called if name == "on_episode_end"]
    samples = [kwargs["samples"] for name, kwargs in called if name == "on_sample_end"]
    assert len(samples) > 1 and all(samples)
    assert [id(e) for sample in samples for e in sample] == [id(e) for e in ended]
    episode = samples[0][0]
    (team,) = episode.agent_episodes.values()
    assert team.get_rewards().sum() == pytest.approx(episode.get_return())
    assert team.get_actions().shape == (len(episode), 3), "as arrays: (L, N)"


class Plain(RLlibCallback):
    """The callbacks that do not look at episodes."""

    def on_train_result(self, *, algorithm, metrics_logger, result, **kwargs):
        result["said"] = {"iteration": result["training_iteration"], "lr": algorithm.config["lr"]}
        metrics_logger.log_value("after_results", result["training_iteration"], window=1)

    def on_evaluate_end(self, *, algorithm, metrics_logger, evaluation_metrics, **kwargs):
        evaluation_metrics["mine"] = 7.0


def test_what_a_callback_adds_is_in_the_results():
    algorithm = build("QMIX", callbacks=Plain, evaluation_interval=1, evaluation_duration=2)
    assert not algorithm.env_runner._has_episode_callbacks, "no episode is built for nobody"
    first, second = algorithm.train(), algorithm.train()
    assert first["said"] == {"iteration": 1, "lr": 1e-3}
    assert second["after_results"] == 1, "what is logged after a result is in the next"
    assert second["evaluation"]["mine"] == 7.0
    algorithm.stop()


def test_functions_are_called_beside_classes():
    lengths, steps = [], []
    algorithm = build("QMIX")
    config = algorithm.config.copy(copy_frozen=False)
    algorithm.stop()
    config.callbacks(
        on_episode_end=[lambda episode, **kwargs: lengths.append(len(episode))] * 2,
        on_episode_step=lambda **kwargs: steps.append(1),
    )
    algorithm = config.build_algo()
    algorithm.train()
    assert lengths and sum(lengths) == 2 * len(steps)
    assert not algorithm.env_runner._ongoing_episodes_for_metrics, "nothing is kept of the past"
    algorithm.stop()


@pytest.mark.parametrize("component", [None, "learner_group/learner/rl_module"])
def test_an_algorithm_may_begin_from_a_checkpoint_in_on_algorithm_init(tmp_path, component):
    """RLlib's documented way to begin from trained weights."""
    before = build("QMIX")
    before.train()
    path = before.save_to_path(tmp_path / "before")

    def begin(algorithm, **kwargs):
        more = {"component": component} if component else {}
        algorithm.restore_from_path(f"{path}/{component}" if component else path, **more)

    config = type(before.config)().environment("counter").debugging(seed=9)
    config.update_from_dict(SMALL).callbacks(on_algorithm_init=begin)
    after = config.build_algo()
    ours, theirs = (weights(learner(each).team_module) for each in (before, after))
    assert all((ours[key] == theirs[key]).all() for key in ours)
    acting = after.get_module().state_dict()
    assert all((theirs[key] == value.numpy()).all() for key, value in acting.items())
    assert after.num_env_steps_sampled == (0 if component else before.num_env_steps_sampled)
    assert len(after.replay) == (0 if component else len(before.replay))
    after.train()
    for each in (before, after):
        each.stop()
