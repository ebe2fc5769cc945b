"""What users of RLlib write by habit, on an algorithm that is built and trained."""

import pytest
from ray.rllib.callbacks.callbacks import RLlibCallback

import rllib_mmsa
from rllib_mmsa import QMIXConfig
from rllib_mmsa.command.experiment import metrics, preflight
from rllib_mmsa.command.experiment.structure import parse_experiment
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.rllib.learner import QLearner
from tests.algorithms import SMALL, SMALL_MMSA, build, learner

pytestmark = pytest.mark.usefixtures("ray_session")


class Counted(RLlibCallback):
    def on_episode_end(self, *, episode, metrics_logger, **kwargs):
        metrics_logger.log_value("my_length", len(episode), window=10)


class OwnLearner(QLearner):
    pass


@pytest.fixture(scope="module")
def habitual(ray_session):
    """Everything at once: a shared policy, callbacks, a schedule, RLlib's evaluation interval."""
    config = QMIXConfig().environment("counter").update_from_dict({**SMALL, "seed": 1})
    config.multi_agent(policies={"shared"}, policy_mapping_fn=lambda *args, **kwargs: "shared")
    config.callbacks(Counted).training(lr=[[0, 1e-3], [40, 1e-5]], learner_class=OwnLearner)
    config.evaluation(evaluation_interval=2, evaluation_duration=2)
    algorithm = config.build_algo()
    yield algorithm, [algorithm.train() for _ in range(4)]
    algorithm.stop()


def test_a_shared_policy_trains_as_the_teams_module(habitual):
    algorithm, results = habitual
    assert set(algorithm.config.policies) == {"team"}
    assert results[-1]["learners"]["team"]["num_updates_lifetime"] > 0


def test_get_module_without_a_name_is_the_teams(habitual):
    algorithm, _ = habitual
    assert algorithm.get_module() is algorithm.get_module("team") is not None
    assert algorithm.get_module().num_agents == 3
    assert algorithm.get_module("agent_0") is None


@pytest.mark.parametrize("method", ["get_policy", "compute_single_action", "compute_actions"])
def test_the_old_stacks_methods_say_what_to_call(habitual, method):
    with pytest.raises(ConfigError, match=rf"{method}\(\) is of RLlib's old API .* get_module\(\)"):
        getattr(habitual[0], method)("default_policy")


@pytest.mark.parametrize("method", ["add_module", "remove_module"])
def test_a_module_is_neither_added_nor_removed(habitual, method):
    with pytest.raises(ConfigError, match=rf"{method}\(\) is for .* several modules.*module_class"):
        getattr(habitual[0], method)("team")


def test_a_configuration_is_read_as_an_attribute_and_as_a_key(habitual):
    config = habitual[0].config
    assert config["gamma"] == config.gamma == config.get("gamma") == 0.99
    assert "mixer" in config and config["mixer"] == "qmix"


def test_a_configuration_goes_into_a_dictionary_and_back(habitual):
    config = habitual[0].config
    for made in (
        QMIXConfig.from_dict(config.to_dict()),
        QMIXConfig().update_from_dict(config.to_dict()),
        QMIXConfig.from_state(config.get_state()),
        config.from_state(config.from_state(config.get_state()).get_state()),
        QMIXConfig.from_dict(config.from_state(config.get_state()).to_dict()),
    ):
        assert type(made) is QMIXConfig
        assert made.to_dict() == config.to_dict()


def test_a_copy_is_changed_alone(habitual):
    config = habitual[0].config
    with pytest.raises(AttributeError, match="frozen"):
        config.gamma = 0.5
    copy = config.copy(copy_frozen=False).training(gamma=0.5)
    assert (copy.gamma, config.gamma) == (0.5, 0.99)
    with pytest.raises(AttributeError, match="frozen"):
        config.copy().gamma = 0.5


def test_evaluate_plays_the_episodes_that_are_asked_for(habitual):
    algorithm, _ = habitual
    assert algorithm.evaluate()["env_runners"]["num_episodes"] == 2


def test_build_is_build_algo():
    settings = {**SMALL, "seed": 1}
    made = [
        getattr(QMIXConfig().environment("counter").update_from_dict(settings), name)()
        for name in ("build", "build_algo")
    ]
    returns = [algorithm.train()["env_runners"]["episode_return_mean"] for algorithm in made]
    assert returns[0] == returns[1]
    for algorithm in made:
        algorithm.stop()


def test_runners_and_evaluation_in_processes_are_set_as_rllib_s_are():
    config = QMIXConfig().environment("counter").update_from_dict({**SMALL, "seed": 1})
    config.env_runners(num_env_runners=1, num_envs_per_env_runner=3)
    config.evaluation(evaluation_interval=1, evaluation_duration=4, evaluation_num_env_runners=1)
    config.evaluation(evaluation_config={"explore": False})
    algorithm = config.build_algo()
    result = algorithm.train()
    assert result["env_runners"]["num_episodes"] % 3 == 0
    assert result["evaluation"]["env_runners"]["num_episodes"] == 4
    assert algorithm.env_runner_group.num_remote_env_runners() == 1
    algorithm.stop()


def test_a_callbacks_metric_is_where_a_stop_criterion_looks_for_it(habitual):
    path = metrics.metric("env_runners/my_length", "stop")
    assert path == "env_runners/my_length"
    assert habitual[1][-1]["env_runners"]["my_length"] > 0


def test_a_schedule_of_the_learning_rate_is_followed(habitual):
    algorithm, _ = habitual
    (optimiser,) = learner(algorithm)._named_optimizers.values()
    assert optimiser.param_groups[0]["lr"] == pytest.approx(1e-5)


def test_a_learner_of_ones_own_learns(habitual):
    assert type(learner(habitual[0])) is OwnLearner


def test_rllibs_interval_alone_says_when_to_evaluate(habitual):
    evaluated = ["episode_return_mean" in r.get("evaluation", {}).get("env_runners", {})
                 for r in habitual[1]]  # fmt: skip
    assert evaluated == [True, True, False, True], "the first result has one, whatever is set"


#: Known metrics that only PPO reports.
OF_PPO = {f"learners/team/{name}" for name in ("vf_loss", "vf_explained_var", "entropy",
                                               "mean_kl_loss")}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "more"), [("MMSA", SMALL_MMSA), ("QMIX", {}), ("IndependentQ", {}), ("MAPPO", {})]
)
def test_every_metric_that_is_known_is_one_that_is_reported(name, more):
    """And so is not refused as misspelt; MMSA has all that are not PPO's."""
    algorithm = build(
        name, evaluation_interval_env_steps=20, evaluation_duration=2, env="two_step", **more
    )
    results = [algorithm.train() for _ in range(3)]
    algorithm.stop()
    reported = {
        f"{folder}/{key}"
        for result in results
        for folder, part in (
            ("env_runners", result["env_runners"]),
            ("learners/team", result.get("learners", {}).get("team", {})),
            ("replay", result.get("replay", {})),
            ("evaluation/env_runners", result.get("evaluation", {}).get("env_runners", {})),
        )
        for key in part
    }
    never = {f"{part}/win_rate" for part in ("env_runners", "evaluation/env_runners")}
    known = {m for m in metrics.KNOWN_METRICS if "/" in m} - never  # nothing is won here
    if name == "MMSA":
        assert known - OF_PPO <= reported
    assert name != "MAPPO" or reported >= OF_PPO
    for metric in reported:
        assert metrics.metric(metric, "stop") == metric


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("env_runners/win_rat", "Did you mean 'env_runners/win_rate'?"),
        ("env_runners/episode_return", "Did you mean 'env_runners/episode_return_mean'?"),
        ("evaluation/win_rat", "Did you mean 'evaluation/win_rate'?"),
        ("learners/team/td_los", "Did you mean 'learners/team/td_loss'?"),
        ("my_length", "named with its whole path, such as env_runners/my_metric"),
        ("env_runer/my_length", "unknown metric 'env_runer/my_length'"),
        ("env_runners/", "unknown metric 'env_runners/'"),
    ],
)
def test_a_misspelt_metric_is_no_callbacks(name, words):
    with pytest.raises(ConfigError) as error:
        metrics.metric(name, "stop")
    assert words in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["env_runners/my_win_rate", "evaluation/env_runners/x", "learners/team/own_loss",
     "custom_metrics/x", "env_runners/group/deep/x"],
)  # fmt: skip
def test_a_metric_that_nobody_knows_is_taken_with_a_note(name):
    entry = {"run": "QMIX", "env": "two_step", "stop": {name: 1, "training_iteration": 2}}
    (line,) = preflight.notices(parse_experiment("a", entry))
    assert f"stop: '{name}' is no metric of RLlib's" in line


def test_an_option_that_does_nothing_is_noted_before_a_run():
    entry = {"run": "QMIX", "env": "two_step", "config": {"rollout_fragment_length": 4}}
    (line,) = preflight.notices(parse_experiment("a", entry))
    assert line.startswith("rollout_fragment_length is 4 and does nothing here")


def test_all_old_names_of_a_file_are_answered_at_once():
    config = {"num_workers": 2, "horizon": 10, "buffer_size": 100, "num_gpus": 0, "gamma": 0.9}
    with pytest.raises(ConfigError) as error:
        preflight.check(
            [parse_experiment("a", {"run": "QMIX", "env": "two_step", "config": config})]
        )
    lines = str(error.value).splitlines()
    assert len(lines) == 3 and all(line.startswith("a: config: '") for line in lines)


def test_refused_configurations_are_refused_before_ray_starts():
    config = {"evaluation_parallel_to_training": True, "evaluation_duration": "auto",
              "evaluation_num_env_runners": 1, "policies": ["a", "b"]}  # fmt: skip
    with pytest.raises(ConfigError, match="a: config: policies are a, b"):
        preflight.check(
            [parse_experiment("a", {"run": "QMIX", "env": "two_step", "config": config})]
        )
    del config["policies"]
    with pytest.raises(ConfigError) as error:
        preflight.check(
            [parse_experiment("a", {"run": "QMIX", "env": "two_step", "config": config})]
        )
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("name", ["IQL", "iql", "DQN", "IDQN", "independentq", "Independant Q"])
def test_independent_q_learning_is_found_by_its_other_names(name):
    with pytest.raises(ConfigError, match="Did you mean 'IndependentQ'?"):
        preflight.find_algorithm(name, "a")


def test_python_names_it_too():
    with pytest.raises(AttributeError, match="Did you mean: 'IndependentQ'?"):
        _ = rllib_mmsa.IQL
    with pytest.raises(AttributeError, match="Did you mean: 'IndependentQConfig'?"):
        _ = rllib_mmsa.IQLConfig
    with pytest.raises(AttributeError, match="has no attribute 'nothing'$"):
        _ = rllib_mmsa.nothing
