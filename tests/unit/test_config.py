"""Settings: defaults, what is refused in words, old names, removed options, presets."""

import pytest
import ray

from rllib_mmsa.errors import ConfigError
from rllib_mmsa.method.settings import PRESETS, MMSASettings, Settings, names
from rllib_mmsa.older.options import REMOVED, from_older
from rllib_mmsa.registration import ALGORITHM_NAMES
from rllib_mmsa.rllib import ALGORITHMS, MMSAConfig, QMIXConfig
from tests.algorithms import Q_LEARNERS


def test_algorithms_differ_only_where_they_say():
    """Fair comparison: everything but this is shared."""
    configs = {name: ALGORITHMS[name].get_default_config().to_dict() for name in Q_LEARNERS}
    differing = {
        name: {
            key
            for key, value in config.items()
            if key in configs["QMIX"] and repr(value) != repr(configs["QMIX"][key])
        }
        for name, config in configs.items()
    }
    others = dict.fromkeys(("QPLEX", "VDN", "IndependentQ"), {"mixer"})
    assert differing == {"MMSA": set(), "QMIX": set(), **others}
    assert (
        configs["QPLEX"].keys()
        == configs["VDN"].keys()
        == configs["IndependentQ"].keys()
        == configs["QMIX"].keys()
    )
    own = {*names(MMSASettings)} - set(names(Settings))
    assert configs["MMSA"].keys() - configs["QMIX"].keys() == own


def test_names_registered_without_importing_are_the_algorithms():
    assert tuple(ALGORITHMS) == ALGORITHM_NAMES


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("QMIX", {"optim": "sgd"}, "optim is 'sgd'; it must be one of"),
        ("QMIX", {"mixer": "qmixx"}, "mixer is 'qmixx'; it must be one of"),
        ("QMIX", {"engine": "fast"}, "engine is 'fast'; it must be one of"),
        (
            "QMIX",
            {"learner_threads": 0},
            "threads is 0; it must be a whole number from 1 to 8",
        ),
        ("QMIX", {"max_seq_len": 0}, "max_seq_len is 0; it must be None or a whole"),
        ("QMIX", {"train_batch_episodes": 0}, "episodes is 0; it must be a whole number of"),
        ("QMIX", {"replay_capacity_episodes": 8}, "at least train_batch_episodes"),
        ("QMIX", {"overlap_sampling": True}, "overlap_sampling is True; it must be False while"),
        ("QMIX", {"target_update_tau": 0.1, "target_network_update_freq": 5}, "are both set"),
        ("QMIX", {"target_update_episodes": None}, "would never move"),
        ("QMIX", {"target_network_update_freq": 0}, "freq is 0; it must be None or a whole"),
        ("MMSA", {"kl_balance": "both"}, "kl_balance is 'both'; it must be one of"),
        ("MMSA", {"kl_balance_alpha": 1.5}, "alpha is 1.5; it must be a number from 0 to 1"),
        ("MMSA", {"normaliser": "max"}, "normaliser is 'max'; it must be one of"),
        ("MMSA", {"world_model_form": "own"}, "world_model_form is 'own'; it must be one of"),
        ("MMSA", {"preset": "papper"}, "preset is 'papper'; it must be one of"),
        ("MMSA", {"model_batch_share": 0.4}, "model_batch_share is 0.4; it must be 1, or one half"),
        ("MMSA", {"model_quality_interval": 0}, "interval is 0; it must be a whole number of"),
        ("MMSA", {"rollout_horizon": 0}, "rollout_horizon is 0; it must be a whole number"),
        (
            "MMSA",
            {"use_world_model": False, "imagine_interval_env_steps": 10},
            "imagine_interval_env_steps is 10; it must be None without a world model",
        ),
        ("MMSA", {"use_world_model": False, "use_global_state": False}, "would see nothing"),
        ("MMSA", {"mixer": "vdn"}, "mixer is 'vdn'; it must be 'qmix' or 'qplex' with a world"),
        (
            "MMSA",
            {"num_learners": 2, "train_batch_episodes": 30},
            "episodes is 30; it must be a multiple of 8 with num_learners: 2",
        ),
    ],
)
def test_bad_settings_are_said_in_words(name, settings, words):
    config = ALGORITHMS[name].get_default_config().environment("counter")
    config.update_from_dict(settings)
    with pytest.raises(ValueError, match=words):
        config.validate()


@pytest.mark.parametrize(
    ("env", "env_config", "words"),
    [
        (None, {}, "there is no environment; name one"),
        ("lbff", {}, "unknown environment 'lbff'.*register one of your own"),
        ("lbf", {"tsk": "8x8-2p-2f-v2"}, "unknown key 'tsk'.*did you mean 'task'"),
        ("lbf", {"task": "8x8-2p-2f-v9"}, "has version v9"),
    ],
)
def test_an_environment_that_is_none_is_refused_before_ray_starts(
    env, env_config, words, monkeypatch
):
    monkeypatch.setattr(ray, "init", lambda *args, **kwargs: pytest.fail("Ray was started"))
    config = ALGORITHMS["QMIX"].get_default_config().environment(env, env_config=env_config)
    for build in (config.build_algo, lambda: config.build_algo(env)):
        with pytest.raises(ValueError, match=words):
            build()


def test_a_team_that_acts_is_no_checkpoint_to_train_on(tmp_path):
    (tmp_path / "team.json").write_text("{}")
    with pytest.raises(ConfigError, match="is a team that acts, not a checkpoint"):
        ALGORITHMS["MMSA"].from_checkpoint(tmp_path)


def test_old_qmix_options_are_accepted():
    old = {
        "mixer": "vdn", "mixing_embed_dim": 16, "double_q": False, "optim_alpha": 0.9,
        "optim_eps": 1e-4, "target_network_update_freq": 500, "lr": 5e-4, "grad_clip": 10,
        "train_batch_size": 16, "gamma": 0.9,
    }  # fmt: skip
    config = QMIXConfig().environment("two_step").update_from_dict(old)
    config.validate()
    assert config.lr == 5e-4 and config.target_network_update_freq == 500
    assert config.train_batch_episodes == 16 and config.mixer == "vdn"
    assert QMIXConfig().training(**{**old, "train_batch_size": 16}).train_batch_episodes == 16


def test_own_settings_are_set_like_rllibs():
    config = MMSAConfig().training(rollout_horizon=5, lr=1e-4, train_batch_size=8)
    assert (config.rollout_horizon, config.lr, config.train_batch_episodes) == (5, 1e-4, 8)
    config.learners(engine="plain", learner_threads=1, num_learners=0)
    assert (config.engine, config.learner_threads, config.num_learners) == ("plain", 1, 0)
    assert QMIXConfig().training(td_lambda=0.6).td_lambda == 0.6
    with pytest.raises(ConfigError, match="rollout_horizont'. Did you mean 'rollout_horizon'"):
        MMSAConfig().training(rollout_horizont=5)


# Options that are gone.


def by_attribute(config: MMSAConfig, name: str) -> None:
    setattr(config, name, 1)
    config.validate()


@pytest.mark.parametrize("name", REMOVED)
@pytest.mark.parametrize(
    "use",
    [
        lambda config, name: config.training(**{name: 1}),
        lambda config, name: config.update_from_dict({name: 1}),
        by_attribute,
    ],
    ids=["training", "update_from_dict", "attribute"],
)
def test_an_option_that_is_gone_says_what_to_do(use, name):
    config = MMSAConfig().environment("counter")
    assert not hasattr(config, name)
    with pytest.raises(ValueError) as error:
        use(config, name)
    assert str(error.value) == f"{name} is gone: {REMOVED[name]}"


def test_the_learners_option_that_is_gone_says_what_to_do():
    with pytest.raises(ValueError, match="compiled_kernels is gone: set `engine`"):
        QMIXConfig().learners(compiled_kernels=False)


BEFORE = {"observation_head": "agent", "self_prediction_weight": 0.0}
PRINTED = ("posterior_sees_obs", "prior_residual", "prior_sees_latent")


@pytest.mark.parametrize(
    ("saved", "today"),
    [
        ({"lr": 0.1, "rollout_horizon": 3}, {"lr": 0.1, "rollout_horizon": 3}),
        ({"sale_action": "candidate", "free_bits": 0.0}, {}),
        ({"sale_head_dim": 8, "sale_hidden_dim": 8}, {"sale_hidden_dim": 8}),
        (dict.fromkeys(PRINTED, True), {"world_model_form": "residual"}),
        (dict.fromkeys(PRINTED, False), {"world_model_form": "printed"}),
        ({"compiled_kernels": True}, {"engine": "auto"}),
        ({"compiled_kernels": False}, {"engine": "plain"}),
        ({"latent_dim": 16}, {"latent_dim": 16, **BEFORE}),
        ({"double_q": True}, {"double_q": True, "td_lambda": 0.0}),
        ({"double_q": True, "td_lambda": 0.6}, {"double_q": True, "td_lambda": 0.6}),
    ],
)
def test_what_an_older_version_saved_is_read_in_todays_names(saved, today):
    assert from_older(saved) == today


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ({"rollout_aggregation": "gru"}, "rollout_aggregation was 'gru' when this was saved"),
        ({"free_bits": 1.0}, "free_bits was 1.0 when this was saved"),
        ({"sale_head_dim": 6, "sale_hidden_dim": 8}, "sale_head_dim was 6 and sale_hidden_dim 8"),
        (
            {**dict.fromkeys(PRINTED, True), "prior_residual": False},
            "differed when this was saved; today they are one setting",
        ),
    ],
)
def test_what_today_cannot_do_is_refused_in_words(saved, words):
    with pytest.raises(ValueError, match=words):
        from_older(saved)


# Presets.


def test_the_preset_paper_has_the_weights_as_printed():
    config = MMSAConfig().training(preset="paper")
    assert {name: getattr(config, name) for name in PRESETS["paper"]} == PRESETS["paper"]
    settings = MMSASettings(**PRESETS["paper"])
    # Section 4.4 does not have these.
    added = {"open_loop_loss", "reward_loss", "end_loss", "self_prediction_loss"}
    weights = settings.loss_weights
    assert {name for name, weight in weights.items() if weight == 0.0} == added
    assert {weights[name] for name in weights.keys() - added} == {1.0}  # it weighs nothing
    assert settings.share_every == 1


def test_the_losses_that_are_weighed_are_the_losses():
    from rllib_mmsa.method.losses import losses_of

    every = MMSASettings(self_prediction_weight=0.5)
    assert every.loss_weights.keys() == losses_of(every).keys()
    assert Settings().loss_weights.keys() == losses_of(Settings()).keys()
