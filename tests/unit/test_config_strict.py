"""Configurations from Python: misspelt names, and RLlib's options that mean nothing here."""

import dataclasses
import pickle

import pytest
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.rl_module.rl_module import RLModule, RLModuleSpec
from ray.rllib.policy.policy import PolicySpec

from rllib_mmsa import MMSAConfig, QMIXConfig
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.method.settings import Settings
from rllib_mmsa.older import rllib_names
from rllib_mmsa.rllib.learner import QLearner
from rllib_mmsa.rllib.module import QModule
from rllib_mmsa.rllib.refused import REFUSED, UNUSED, team_policy, unused

# Names.


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda c: c.training(rollout_horizn=5), "Did you mean 'rollout_horizon'?"),
        (lambda c: c.training(lerning_rate=5), "Did you mean 'lr'?"),
        (lambda c: c.training(num_envs=5), "Did you mean 'num_envs_per_env_runner'?"),
        (lambda c: setattr(c, "rollout_horizn", 5), "Did you mean 'rollout_horizon'?"),
        (
            lambda c: setattr(c, "gama", 5),
            "MMSAConfig: unknown option 'gama'. Did you mean 'gamma'",
        ),
        (lambda c: c.__setitem__("gama", 5), "Did you mean 'gamma'?"),
        (lambda c: c.update_from_dict({"gama": 5}), "Did you mean 'gamma'?"),
        (lambda c: c.update_from_dict({"gamma": 0.9, "mixr": None}), "Did you mean 'mixer'?"),
        (lambda c: c.env_runners(num_env_runers=2), "Did you mean 'num_env_runners'?"),
        (lambda c: c.evaluation(evaluation_num_env=2), "Did you mean 'evaluation_num_envs'?"),
        (lambda c: c.learners(engin="plain"), "Did you mean 'engine'?"),
        (lambda c: c.debugging(sed=1), "Did you mean 'seed'?"),
        (lambda c: c.environment("lbf", env_confg={}), "Did you mean 'env_config'?"),
        (lambda c: c.training(num_env_runners=2), "write .env_runners(num_env_runners=...)"),
        (lambda c: c.training(engine="plain"), "write .learners(engine=...)"),
        (lambda c: c.env_runners(lr=1), "env_runners() takes no 'lr'; write .training(lr=...)"),
        (lambda c: c.evaluation(gamma=1), "write .training(gamma=...)"),
        (lambda c: c.env_runners(num_envs_per_worker=2), "write 'num_envs_per_env_runner'"),
        (lambda c: c.resources(num_gpus=1), "write 'num_gpus_per_learner'"),
        (lambda c: c.training(model={"lstm_cell_size": 8}), "write 'hidden_dim'"),
        (lambda c: c.training(train_batch_size_per_learner=8), "write 'train_batch_episodes'"),
        (lambda c: c.env_runners(env_to_module_connector=print), "no connector runs"),
        (lambda c: c.update_from_dict({"lr_schedule": [[0, 1]]}), "lr: [[0, 1e-3]"),
        (lambda c: setattr(c, "horizon", 5), "a time limit is the environment's"),
    ],
)
def test_a_misspelt_or_misplaced_name_is_answered_with_the_right_one(use, words):
    with pytest.raises(ConfigError) as error:
        use(MMSAConfig())
    assert words in str(error.value)


@pytest.mark.parametrize("name", sorted(rllib_names.OTHER_NAMES | rllib_names.OLD_OPTIONS))
def test_every_old_name_is_answered(name):
    with pytest.raises(ConfigError) as error:
        setattr(MMSAConfig(), name, "value")
    today = rllib_names.OTHER_NAMES.get(name)
    assert (f"'{today}'" if today else "does nothing here") in str(error.value)
    assert today is None or today in MMSAConfig().to_dict() | vars(MMSAConfig())


def test_what_is_right_stays_right():
    config = MMSAConfig()
    config.lr = 1e-4
    config["gamma"] = 0.9
    config.update_from_dict({"num_workers": 2})  # RLlib itself still translates this one
    assert (config.lr, config.gamma, config.num_env_runners) == (1e-4, 0.9, 2)
    again = MMSAConfig.from_dict(config.to_dict())
    assert (again.lr, again.gamma, again.policies) == (1e-4, 0.9, {"team"})
    for copy in (
        config.copy(),
        pickle.loads(pickle.dumps(config)),
        config.from_state(config.get_state()),
    ):
        with pytest.raises(ConfigError, match="Did you mean 'lr'"):
            copy.lrr = 1
    assert MMSAConfig.overrides(lr=1e-3) == {"lr": 1e-3}


@dataclasses.dataclass(frozen=True)
class OwnSettings(Settings):
    horizon: int = 3


class OwnConfig(QMIXConfig):
    settings_class = OwnSettings

    def __init__(self, algo_class=None):
        super().__init__(algo_class)
        self.extra = {"a": 1}
        self.tau = 0.1


def test_a_subclass_adds_options_even_of_an_old_name():
    config = OwnConfig().training(horizon=7, extra={"b": 2}, lr=1e-3)
    config.tau = 0.2
    assert (config.horizon, config.extra, config.tau) == (7, {"b": 2}, 0.2)
    assert config.update_from_dict({"tau": 0.3}).tau == 0.3
    with pytest.raises(ConfigError, match="OwnConfig: .*Did you mean 'extra'"):
        config.extr = 1


def test_a_learner_class_of_ones_own_is_the_one_that_learns():
    class OwnLearner(QLearner):
        pass

    for config in (
        QMIXConfig().training(learner_class=OwnLearner),
        QMIXConfig().learners(learner_class=OwnLearner),
    ):
        assert config.learner_class is config.get_default_learner_class() is OwnLearner


# RLlib's options that mean nothing here.


def shared(*args, **kwargs):
    return "shared"


@pytest.mark.parametrize(
    "policies",
    [
        {"shared"},
        ["shared"],
        {"shared": PolicySpec()},
        {"shared": (None, None, None, {})},
        {"shared": (None, None, None, None)},
        {"team"},
        None,
    ],
)
@pytest.mark.parametrize("way", ["multi_agent", "dict", "multiagent"])
def test_one_policy_for_all_agents_is_the_teams(policies, way):
    given = {"policies": policies, "policy_mapping_fn": shared, "policies_to_train": ["shared"]}
    if policies is None or "team" in policies:
        given["policies_to_train"] = ["team"]
    config = QMIXConfig().environment("two_step")
    if way == "multi_agent":
        config.multi_agent(**given)
    else:
        config.update_from_dict({"multiagent": given} if way == "multiagent" else given)
    config.validate()
    assert set(config.policies) == {"team"} and config.policies_to_train is None
    assert config.policy_mapping_fn is team_policy


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"policies": {"agent_1", "agent_0"}}, "policies are agent_0, agent_1; all agents share"),
        ({"policies": set()}, "policies are none"),
        ({"policies": {"a": PolicySpec(config={"lr": 1})}}, "'a' has a class or settings of its"),
        ({"policies": {"a": (object, None, None, {})}}, "'a' has a class or settings of its own"),
        ({"policies": {"a"}, "policies_to_train": ["b"]}, "the one module learns: leave it out"),
        ({"polices": {"a"}}, "Did you mean 'policies'?"),
    ],
)
def test_several_policies_are_refused(given, words):
    with pytest.raises(ConfigError) as error:
        QMIXConfig().multi_agent(**given)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: setattr(c, "policies", {"a", "b"}), "all agents share the networks"),
        (
            lambda c: c.evaluation(
                evaluation_parallel_to_training=True,
                evaluation_duration="auto",
                evaluation_num_env_runners=1,
            ),
            "write a number of episodes, such as 100.\nevaluation_parallel_to_training is True; an",
        ),
        (lambda c: c.evaluation(evaluation_duration_unit="timesteps"), "plays whole episodes"),
        (lambda c: c.api_stack(enable_rl_module_and_learner=False), "only RLlib's new API stack"),
        (lambda c: c.framework("tf2"), "framework is 'tf2'; RLlib has only 'torch' left"),
        (lambda c: c.framework(torch_compile_learner=True), "write engine: compile"),
        (lambda c: c.offline_data(input_="data"), "input is 'data'; the algorithms learn from"),
        (lambda c: c.offline_data(output="data"), "output is 'data'"),
        (lambda c: c.environment(clip_rewards=True), "write standardise_rewards"),
        (lambda c: c.env_runners(observation_filter="MeanStdFilter"), "normalise_observations"),
        (lambda c: c.training(learner_class=object), "derive it from QLearner"),
        (lambda c: c.rl_module(rl_module_spec=RLModuleSpec(module_class=RLModule)), "QModule"),
        (
            lambda c: c.rl_module(algorithm_config_overrides_per_module={"team": {"lr": 1}}),
            "there is one module, the team's",
        ),
    ],
)
def test_what_would_silently_mean_something_else_is_refused(change, words):
    config = QMIXConfig().environment("two_step")
    config.validate()
    change(config)
    with pytest.raises(ConfigError) as error:
        config.validate()
    assert words in str(error.value)


def test_a_module_of_the_right_kind_is_taken():
    class OwnModule(QModule):
        pass

    config = QMIXConfig().environment("two_step")
    config.rl_module(rl_module_spec=RLModuleSpec(module_class=OwnModule)).validate()


def test_what_changes_nothing_is_named():
    assert unused(QMIXConfig()) == [] and unused(MMSAConfig()) == []
    config = QMIXConfig().env_runners(rollout_fragment_length=4, batch_mode="truncate_episodes")
    config.validate()
    assert unused(config.training(num_epochs=3)) == [
        "rollout_fragment_length is 4 and does nothing here: whole episodes are played, one for "
        "each environment a round",
        "batch_mode is 'truncate_episodes' and does nothing here: whole episodes are played",
        "num_epochs is 3 and does nothing here: an update is one step on one batch "
        "(updates_per_episode)",
    ]


def test_the_tables_name_options_that_there_are():
    there = {*vars(AlgorithmConfig()), *dir(QMIXConfig)}
    assert set(REFUSED) <= there
    assert set(UNUSED) <= there


@pytest.mark.parametrize(
    ("changes", "in_steps"),
    [
        ([{"evaluation_interval": 2}], None),
        ([{"evaluation_interval": 2, "evaluation_interval_env_steps": 10}], 10),
        ([{"evaluation_interval": None}], 50_000),
        ([{"evaluation_duration": 5}], 50_000),
        ([{"evaluation_interval": 2}, {"evaluation_interval_env_steps": 10}], 10),
    ],
)
def test_rllibs_interval_takes_the_place_of_the_one_in_env_steps(changes, in_steps):
    by_method, by_dict = QMIXConfig(), QMIXConfig()
    for change in changes:
        by_method.evaluation(**change)
        by_dict.update_from_dict(change)
    assert by_method.evaluation_interval_env_steps == in_steps
    assert by_dict.evaluation_interval_env_steps == in_steps
