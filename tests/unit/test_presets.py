"""`preset`: exactly these values, for which algorithms, and what a user sets counts more."""

import pickle

import pytest
from ray import tune

from rllib_mmsa.command.experiment import overrides, preflight
from rllib_mmsa.command.experiment.files import load_file
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.rllib import ALGORITHMS, MMSAConfig, QMIXConfig, VDNConfig
from rllib_mmsa.rllib.presets import NAMES
from tests.algorithms import Q_LEARNERS

#: The appendix of EPyMARL's benchmark for Level-Based Foraging, and EPyMARL's own defaults.
SHARED = {
    "gamma": 0.99,
    "lr": 0.0003,
    "optim": "adam",
    "optim_eps": 1e-8,
    "grad_clip": 10.0,
    "grad_clip_by": "global_norm",
    "td_lambda": 0.0,
    "double_q": True,
    "standardise_rewards": True,
    "epsilon": [[0, 1.0], [200_000, 0.05]],
    "train_batch_episodes": 32,
    "replay_capacity_episodes": 5000,
    "learning_starts_episodes": 32,
    "updates_per_episode": 1.0,
    "observe_agent_id": True,
    "observe_last_action": False,
}
SOFT = {"target_update_tau": 0.01}
WIDTHS = {"mixing_embed_dim": 32, "hypernet_embed_dim": 64}
QMIX = {**SHARED, **SOFT, **WIDTHS, "hidden_dim": 64, "evaluation_epsilon": 0.05}
EPYMARL = {
    "MMSA": QMIX,
    "QMIX": QMIX,
    "QPLEX": QMIX,
    "VDN": {**SHARED, **SOFT, "hidden_dim": 128, "evaluation_epsilon": 0.0},
    "IndependentQ": {
        **SHARED,
        "target_update_episodes": 200,
        "hidden_dim": 128,
        "evaluation_epsilon": 0.05,
    },
}


def settings(config) -> dict:
    return {name: value for name, value in vars(config).items() if not name.startswith("_")}


@pytest.mark.parametrize("name", Q_LEARNERS)
def test_the_preset_epymarl_is_exactly_these_values(name):
    plain = settings(ALGORITHMS[name].get_default_config())
    config = ALGORITHMS[name].get_default_config().training(preset="epymarl")
    assert settings(config) == {**plain, "preset": "epymarl", **EPYMARL[name]}
    assert config.presets["epymarl"] == EPYMARL[name]
    config.environment("counter").validate()
    config.training(preset=None)  # what validate() sets itself is no choice of the user's
    assert {key: plain[key] for key in EPYMARL[name]} == {
        key: getattr(config, key) for key in EPYMARL[name]
    }


@pytest.mark.parametrize("name", ["QMIX", "QPLEX", "VDN", "IndependentQ"])
def test_the_preset_paper_is_mmsas_alone(name):
    config = ALGORITHMS[name].get_default_config().environment("counter").training(preset="paper")
    with pytest.raises(ValueError, match=rf"must be one of \(None, 'epymarl'\) for {name}"):
        config.validate()


def test_a_preset_that_there_is_not_is_refused():
    config = QMIXConfig().environment("counter").training(preset="epymarll")
    with pytest.raises(ValueError, match=r"'epymarll'; it must be one of \(None, 'epymarl', 'pa"):
        config.validate()
    assert NAMES == tuple(sorted(MMSAConfig.presets))


def by_attribute(config):
    config.evaluation_epsilon, config.lr = 0.2, 1e-3
    config.preset = "epymarl"
    return config


OWN = {"evaluation_epsilon": 0.2, "lr": 1e-3}


@pytest.mark.parametrize(
    "set_both",
    [
        lambda c: c.training(preset="epymarl", lr=1e-3).evaluation(evaluation_epsilon=0.2),
        lambda c: c.evaluation(evaluation_epsilon=0.2).training(lr=1e-3).training(preset="epymarl"),
        lambda c: c.update_from_dict({**OWN, "preset": "epymarl"}),
        lambda c: c.update_from_dict({"preset": "epymarl", **OWN}),
        lambda c: c.update_from_dict(OWN).update_from_dict({"preset": "epymarl"}),
        by_attribute,
    ],
    ids=["beside", "before", "dictionary", "its other order", "two dictionaries", "attributes"],
)
@pytest.mark.parametrize(
    "through",
    [
        lambda config: config,
        lambda config: config.copy(copy_frozen=False),
        lambda config: pickle.loads(pickle.dumps(config)),
        lambda config: QMIXConfig.from_state(config.get_state()),
        lambda config: QMIXConfig().update_from_dict(config.to_dict()),
    ],
    ids=["itself", "copy", "pickle", "state", "Tune"],
)
def test_what_the_user_has_set_counts_more(set_both, through):
    """Also where it is the default (lr), and also after a journey."""
    config = through(set_both(QMIXConfig()))
    assert (config.preset, config.lr, config.evaluation_epsilon) == ("epymarl", 1e-3, 0.2)
    assert (config.optim, config.target_update_tau) == ("adam", 0.01)
    config.training(preset=None)
    assert (config.preset, config.lr, config.evaluation_epsilon) == (None, 1e-3, 0.2)
    assert (config.optim, config.target_update_tau) == ("rmsprop", None)


@pytest.mark.parametrize("number", ["target_update_episodes", "target_network_update_freq"])
@pytest.mark.parametrize("first", [True, False])
def test_hard_updates_that_were_set_are_not_replaced_by_the_presets_soft_ones(number, first):
    calls = [{number: 50}, {"preset": "epymarl"}]
    config = QMIXConfig().environment("counter")
    for call in calls if first else calls[::-1]:
        config.training(**call)
    config.validate()
    assert (getattr(config, number), config.target_update_tau, config.lr) == (50, None, 3e-4)


def test_soft_updates_that_were_set_are_kept():
    config = QMIXConfig().environment("counter").training(preset="epymarl", target_update_tau=0.5)
    assert config.target_update_tau == 0.5
    nothing = QMIXConfig().training(preset="epymarl", target_update_episodes=None)
    assert (nothing.target_update_tau, nothing.target_update_episodes) == (0.01, None)


def test_another_preset_takes_the_place_of_the_last_one():
    config = MMSAConfig().training(preset="paper").training(preset="epymarl")
    assert settings(config) == settings(MMSAConfig().training(preset="epymarl"))
    assert (config.kl_weight, config.double_q) == (MMSAConfig().kl_weight, True)


def test_a_preset_shares_nothing_with_its_configurations():
    QMIXConfig().training(preset="epymarl").epsilon.append([300_000, 0.0])
    assert QMIXConfig().training(preset="epymarl").epsilon == SHARED["epsilon"]


def test_a_subclass_keeps_its_own_defaults_for_what_the_preset_leaves_alone():
    class Own(VDNConfig):
        def __init__(self, algo_class=None):
            super().__init__(algo_class=algo_class)
            self.lr, self.max_seq_len = 0.1, 9

    config = Own().training(preset="epymarl")
    assert (config.lr, config.max_seq_len, config.mixer) == (3e-4, 9, "vdn")
    assert config.training(preset=None).lr == 0.1


@pytest.mark.parametrize(("found", "lr"), [("epymarl", 3e-4), (None, 1e-3)])
def test_a_search_over_presets_from_python(found, lr):
    """Tune puts a value in the place of the search in all that the configuration holds."""
    config = QMIXConfig().training(preset=tune.grid_search(["epymarl", None]), hidden_dim=32)
    chosen = QMIXConfig().update_from_dict({**config.to_dict(), "preset": found})
    assert (chosen.preset, chosen.lr, chosen.hidden_dim) == (found, lr, 32)
    assert chosen.target_update_tau == (0.01 if found else None)


FILE = """
tuned:
  run: QMIX
  env: counter
  stop: {training_iteration: 1}
  config: {preset: epymarl, evaluation_epsilon: 0.3}
"""


@pytest.mark.parametrize(
    ("given", "config", "expected"),
    [
        ([], None, (3e-4, 0.3, 64)),
        (["config.lr=5e-4"], None, (5e-4, 0.3, 64)),
        ([], "{evaluation_epsilon: 0.0, hidden_dim: 8}", (3e-4, 0.0, 8)),
        (["config.preset=null"], None, (1e-3, 0.3, 64)),
    ],
)
def test_a_file_and_the_command_lines_overrides_count_more(tmp_path, given, config, expected):
    (tmp_path / "tuned.yaml").write_text(FILE)
    (found,) = load_file(tmp_path / "tuned.yaml", overrides=overrides.parse(given, config))
    preflight.check([found], local=False)
    made = QMIXConfig().update_from_dict(found.config)
    assert (made.lr, made.evaluation_epsilon, made.hidden_dim) == expected


def test_a_files_preset_of_another_algorithm_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "tuned.yaml").write_text(FILE.replace("epymarl", "paper"))
    (found,) = load_file(tmp_path / "tuned.yaml")
    with pytest.raises(ConfigError, match="preset is 'paper'; it must be one of"):
        preflight.check([found], local=False)
