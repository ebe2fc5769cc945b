"""The learner: padding, gradient arrows, clipping, target networks, determinism."""

import numpy as np
import pytest
import torch
from ray.rllib.utils.metrics import LEARNER_RESULTS

from env_registry.contract import TEAM
from rllib_mmsa.rllib.batch import Window
from rllib_mmsa.rllib.module import QModule
from rllib_mmsa.rllib.replay import EpisodeReplay
from rllib_mmsa.td import StepMean
from tests.algorithms import batch_of, build, learner, losses, train_batch, weights

pytestmark = pytest.mark.usefixtures("ray_session")
NAMES = ["MMSA", "QMIX", "VDN", "IndependentQ"]


#: Observations in [0, 1], episodes of different lengths.
FORAGING = {"env": "lbf", "env_config": {"task": "5x5-2p-1f-v2", "max_episode_steps": 12}}


def gradients(algorithm, batch) -> dict[str, torch.Tensor]:
    module = learner(algorithm).team_module
    module.zero_grad(set_to_none=True)
    losses(algorithm, batch).backward()
    return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_neither_loss_nor_gradients(name):
    # The latents' noise would differ between the two batch shapes: follow the means.
    algorithm = build(name, **FORAGING)
    played = sorted(algorithm.env_runner.sample(num_episodes=60), key=len)
    episodes, longest = played[:3], played[-1]
    assert len(longest) > len(episodes[-1])
    if name == "MMSA":
        from rllib_mmsa.nets.world_model import Gaussian

        original, Gaussian.sample = Gaussian.sample, lambda self, generator=None: self.mean
    try:
        plain = batch_of(algorithm, episodes)
        padded = batch_of(algorithm, [*episodes, longest])
        padded = {TEAM: {key: value[:3] for key, value in padded[TEAM].items()}}
        assert padded[TEAM]["rewards"].shape[1] > plain[TEAM]["rewards"].shape[1]
        torch.testing.assert_close(losses(algorithm, plain), losses(algorithm, padded))
        ours, theirs = gradients(algorithm, plain), gradients(algorithm, padded)
    finally:
        if name == "MMSA":
            Gaussian.sample = original
    assert ours.keys() == theirs.keys()
    for key in ours:
        torch.testing.assert_close(ours[key], theirs[key], rtol=1e-4, atol=1e-5)
    algorithm.stop()


def reached(loss: str, **config) -> set[str]:
    """The parts of MMSA's module that one loss alone sends gradient to."""
    algorithm = build("MMSA", **FORAGING, **config)
    own, module = learner(algorithm), learner(algorithm).team_module
    batch = batch_of(algorithm, algorithm.env_runner.sample(num_episodes=4))
    own.before_gradient_based_update(timesteps={})
    module.learns_apart = False
    out = module.forward_train(batch[TEAM])
    settings, fields = algorithm.config, batch[TEAM]
    from rllib_mmsa.rllib.mmsa_modules import MODEL

    value = {
        "td": lambda: own.td_loss(settings, fields, out),
        "kl": lambda: own.kl_loss(settings, out[MODEL]),
        "rec": lambda: own.reconstruction_loss(settings, out[MODEL]),
        "sale_latents": lambda: own.sale_loss_latents(out[MODEL]),
        "sale_observations": lambda: own.sale_loss_observations(out),
        "policy": lambda: own.policy_loss(out[MODEL]),
    }[loss]()
    value.backward()
    touched = {n for n, p in module.named_parameters() if p.grad is not None and p.grad.any()}
    algorithm.stop()
    return {".".join(n.split(".")[: 3 if ".sale." in n else 2]) for n in touched}


AGENT = {"agent.input", "agent.rnn", "agent.head", "agent.sale.phi"}
CANDIDATE = {"agent.per_action", "agent.from_state", "agent.from_action"}
MIXER = {"mixer.weights_1", "mixer.bias_1", "mixer.weights_2", "mixer.value", "aggregator.linear"}
POSTERIOR, PRIOR = "world_model.posterior_net", "world_model.prior_net"
MODEL_INPUTS = {"world_model.action_embedding", "world_model.sale.phi"}
DECODERS = {
    "world_model.embeddings_decoder",
    "world_model.hidden_decoder",
    "world_model.obs_decoder",
}


@pytest.mark.parametrize("sale_action", ["previous", "candidate"])
def test_td_loss_trains_agents_and_mixer_and_no_encoder_and_no_model(sale_action):
    expected = AGENT | MIXER | (CANDIDATE if sale_action == "candidate" else set())
    for sale_encoders in ("live", "fixed"):
        assert reached("td", sale_action=sale_action, sale_encoders=sale_encoders) == expected


def test_td_gradient_into_the_world_model_is_an_option_that_spares_the_encoders():
    touched = reached("td", td_gradient_to_world_model=True, rollout_model="own")
    assert touched == AGENT | CANDIDATE | MIXER | {POSTERIOR, PRIOR} | MODEL_INPUTS


def test_the_world_model_learns_when_it_is_due():
    algorithm = build("MMSA", model_updates_every=3, **FORAGING)
    module = learner(algorithm).team_module
    batch = train_batch(algorithm.env_runner.sample(num_episodes=4))
    steps = {"num_env_steps_sampled_lifetime": 0, "num_episodes_lifetime": 0}
    moved = []
    for _ in range(6):
        before = weights(module)
        algorithm.learner_group.update(batch=batch, timesteps=steps)
        after = weights(module)
        parts = {
            name.split(".")[0] for name in after if not np.array_equal(before[name], after[name])
        }
        assert {"agent", "mixer", "aggregator"} <= parts
        moved.append({"world_model", "learned_sale"} & parts)
    assert moved == [{"world_model", "learned_sale"}, set(), set()] * 2
    algorithm.stop()


def test_kl_loss_trains_posterior_and_prior_alone():
    assert reached("kl") == {POSTERIOR, PRIOR} | MODEL_INPUTS


def test_reconstruction_trains_the_model_and_neither_agents_nor_encoders():
    assert reached("rec") == {POSTERIOR, PRIOR} | MODEL_INPUTS | DECODERS


def test_the_imaginations_policy_learns_what_the_agents_do_and_moves_nothing_else():
    parts = {"policy_phi", "policy_net"}
    assert reached("policy") == {f"world_model.{part}" for part in parts}


def test_model_gradient_to_the_agents_is_an_option():
    touched = reached("rec", model_gradient_to_agent=True, sale_encoders="live")
    assert {"agent.rnn", "agent.input"} <= touched
    assert not any(part in touched for part in ("agent.sale.f", "agent.sale.g", "agent.head"))


def test_sale_losses_train_their_encoders_alone():
    latents = reached("sale_latents")
    assert latents == {"world_model.sale.f", "world_model.sale.g"}
    live = reached("sale_observations", sale_encoders="live")
    assert live == {"agent.sale.f", "agent.sale.g"}


def test_fixed_encoders_act_and_their_learned_copies_learn():
    assert reached("sale_observations") == {"learned_sale.f", "learned_sale.g"}
    algorithm = build("MMSA")
    module = learner(algorithm).team_module
    with torch.no_grad():
        module.learned_sale.f[0].weight.add_(1.0)
        module.agent.sale.f[0].bias.add_(2.0)
    acting = module.agent.sale.f[0].bias.clone()
    learner(algorithm).sync_targets(1.0)
    # The target keeps the encoders that acted; the acting ones take over the learned.
    assert torch.equal(module.target_agent.sale.f[0].bias, acting)
    assert torch.equal(module.agent.sale.f[0].weight, module.learned_sale.f[0].weight)
    algorithm.stop()


@pytest.mark.parametrize(
    ("rollout_model", "values", "targets"),
    [("own", False, True), ("target", True, True), ("online", False, False)],
)
def test_mixers_read_the_world_model_that_they_are_said_to(rollout_model, values, targets):
    """Whether values and targets stand still while the world model moves."""
    algorithm = build("MMSA", rollout_model=rollout_model, **FORAGING)
    own, module = learner(algorithm), learner(algorithm).team_module
    batch = batch_of(algorithm, algorithm.env_runner.sample(num_episodes=4))

    def mixed() -> list[torch.Tensor]:
        out = module.forward_train(batch[TEAM])
        return [out["chosen_q_tot"], out["next_q_tot"]]

    before = mixed()
    with torch.no_grad():
        for parameter in module.world_model.prior_net.parameters():
            parameter.add_(0.5)
    assert [torch.equal(*pair) for pair in zip(before, mixed(), strict=True)] == [values, targets]
    own.sync_targets(1.0)
    assert not torch.equal(before[1], mixed()[1])
    algorithm.stop()


@pytest.mark.parametrize(
    ("kl_balance", "side"), [("prior", PRIOR), ("posterior", POSTERIOR), (None, None)]
)
def test_kl_balance_says_who_moves(kl_balance, side):
    touched = reached("kl", kl_balance=kl_balance, kl_balance_alpha=1.0, kl_prior_weight=0)
    networks = touched & {POSTERIOR, PRIOR}
    if side is None:
        assert networks == {POSTERIOR, PRIOR}
    elif side == POSTERIOR:
        assert networks == {POSTERIOR}
    else:  # with all the weight on the prior, the posterior is moved only through its inputs
        algorithm = build("MMSA", kl_balance="prior", kl_balance_alpha=1.0, **FORAGING)
        own = learner(algorithm)
        batch = batch_of(algorithm, algorithm.env_runner.sample(num_episodes=4))
        own.before_gradient_based_update(timesteps={})
        own.team_module.learns_apart = False
        out = own.team_module.forward_train(batch[TEAM])["model"]
        out.posterior.mean.retain_grad()
        mean = StepMean(torch.ones(len(out.posterior.mean)))
        prior = type(out.prior)(*(value.detach().requires_grad_() for value in out.prior))
        own._balanced_kl(algorithm.config, mean, out.posterior, prior).backward()
        assert prior.mean.grad.any() and not out.posterior.mean.grad.any()
        algorithm.stop()


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        ({"use_world_model": False}, {"world_model", "aggregator"}),
        ({"use_sale": False}, {"agent.sale"}),
        ({"use_global_state": False}, set()),
        ({"kl_balance": None}, set()),
        ({"rollout_aggregation": "concat", "rollout_latent": "embedding"}, set()),
        ({"rollout_aggregation": "gru"}, set()),
        ({"sample_rollout": True, "normaliser": "batch"}, set()),
        ({"sale_action": "previous", "sale_encoders": "live"}, {"learned_sale"}),
        ({"rollout_model": "online"}, {"target_world_model"}),
        ({"rollout_model": "own", "model_batch_share": 1.0}, set()),
        ({"imagined_actions": "values"}, {"world_model.policy_net"}),
        ({"prior_sees_latent": False, "prior_residual": False}, set()),
        ({"model_updates_every": 2}, set()),
    ],
)
def test_ablations_and_readings_train(config, missing):
    algorithm = build("MMSA", **FORAGING, **config)
    for _ in range(2):
        result = algorithm.train()
    names = learner(algorithm).team_module.state_dict()
    assert not any(name.startswith(part) for name in names for part in missing)
    logged = result["learners"][TEAM]
    assert np.isfinite(logged["td_loss"]) and logged["num_updates_lifetime"] > 0
    assert ("latent_active_dims" in logged) == config.get("use_world_model", True)
    algorithm.stop()


@pytest.mark.parametrize("name", ["MMSA", "QMIX"])
def test_gradients_are_clipped_together(name):
    algorithm = build(name, grad_clip=0.01, **FORAGING)
    own = learner(algorithm)
    batch = train_batch(algorithm.env_runner.sample(num_episodes=4))
    seen = []
    apply = own.apply_gradients
    own.apply_gradients = lambda grads: (seen.append(grads), apply(grads))[1]
    algorithm.learner_group.update(batch=batch, timesteps={
        "num_env_steps_sampled_lifetime": 0, "num_episodes_lifetime": 0})  # fmt: skip
    flat = torch.cat([gradient.flatten() for gradient in seen[0].values()])
    assert flat.norm().item() == pytest.approx(0.01, rel=1e-3)
    learned = {p for p in own.team_module.parameters() if p.requires_grad}
    assert len(own.get_optimizer(TEAM).param_groups[0]["params"]) == len(learned)
    algorithm.stop()


def test_counts_are_logged_as_they_stand_and_not_averaged():
    algorithm = build("QMIX", min_sample_timesteps_per_iteration=100)
    for _ in range(2):
        logged = algorithm.train()["learners"][TEAM]
    assert logged["num_updates_lifetime"] == learner(algorithm)._num_updates > 8
    algorithm.stop()


def test_a_gradient_that_is_not_finite_skips_the_update():
    algorithm = build("QMIX")
    own, module = learner(algorithm), learner(algorithm).team_module
    before = weights(module)
    grads = {ref: torch.full_like(p, torch.nan) for ref, p in own._params.items()}
    own.apply_gradients(grads)
    for key, value in weights(module).items():
        np.testing.assert_array_equal(value, before[key])
    assert own._num_skipped_updates == 1
    algorithm.stop()


@pytest.mark.parametrize(
    ("settings", "now", "moves"),
    [
        ({"target_update_episodes": 10}, {"num_episodes_lifetime": 9}, 0.0),
        ({"target_update_episodes": 10}, {"num_episodes_lifetime": 10}, 1.0),
        ({"target_network_update_freq": 50}, {"num_env_steps_sampled_lifetime": 49}, 0.0),
        ({"target_network_update_freq": 50}, {"num_env_steps_sampled_lifetime": 50}, 1.0),
        ({"target_update_tau": 0.25}, {}, 0.25),
    ],
)
def test_target_networks_move_when_due(settings, now, moves):
    algorithm = build("QMIX", **settings)
    own, module = learner(algorithm), learner(algorithm).team_module
    with torch.no_grad():
        module.mixer.bias_1.bias.add_(1.0)
    start = module.target_mixer.bias_1.bias.clone()
    zeros = {"num_env_steps_sampled_lifetime": 0, "num_episodes_lifetime": 0}
    own._update_targets({**zeros, **now})
    moved = module.target_mixer.bias_1.bias - start
    torch.testing.assert_close(moved, torch.full_like(moved, moves))
    algorithm.stop()


def test_algorithms_differ_only_where_they_say():
    """Fair comparison: everything but this is shared."""
    from rllib_mmsa.rllib import ALGORITHMS

    configs = {name: cls.get_default_config().to_dict() for name, cls in ALGORITHMS.items()}
    differing = {
        name: {
            key
            for key, value in config.items()
            if key in configs["QMIX"] and repr(value) != repr(configs["QMIX"][key])
        }
        for name, config in configs.items()
    }
    assert differing == {"MMSA": set(), "QMIX": set(), "VDN": {"mixer"}, "IndependentQ": {"mixer"}}
    assert configs["VDN"].keys() == configs["IndependentQ"].keys() == configs["QMIX"].keys()


def test_names_registered_without_importing_are_the_algorithms():
    from rllib_mmsa.registration import ALGORITHM_NAMES
    from rllib_mmsa.rllib import ALGORITHMS

    assert tuple(ALGORITHMS) == ALGORITHM_NAMES


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("QMIX", {"optim": "sgd"}, "optim is 'sgd'; it must be one of"),
        ("QMIX", {"mixer": "qmixx"}, "mixer is 'qmixx'; it must be one of"),
        ("QMIX", {"train_batch_episodes": 0}, "train_batch_episodes is 0; it must be greater"),
        ("QMIX", {"replay_capacity_episodes": 8}, "at least train_batch_episodes"),
        ("QMIX", {"target_update_tau": 0.1, "target_network_update_freq": 5}, "are both set"),
        ("QMIX", {"target_update_episodes": None}, "would never move"),
        ("QMIX", {"target_network_update_freq": 0}, "freq is 0; it must be greater than 0"),
        ("MMSA", {"kl_balance": "both"}, "kl_balance is 'both'; it must be one of"),
        ("MMSA", {"model_batch_share": 0.4}, "model_batch_share is 0.4; it must be 1, or one half"),
        ("MMSA", {"model_updates_every": 3}, "model_quality_interval is 50; it must be a multiple"),
        ("MMSA", {"rollout_horizon": 0}, "rollout_horizon is 0; it must be at least 1"),
        ("MMSA", {"use_world_model": False, "use_global_state": False}, "would see nothing"),
        (
            "MMSA",
            {"td_gradient_to_world_model": True, "rollout_model": "target"},
            "must be False where",
        ),
    ],
)
def test_bad_settings_are_said_in_words(name, settings, words):
    from rllib_mmsa.rllib import ALGORITHMS

    config = ALGORITHMS[name].get_default_config().environment("counter")
    config.update_from_dict(settings)
    with pytest.raises(ValueError, match=words):
        config.validate()


def test_old_qmix_options_are_accepted():
    from rllib_mmsa.rllib import QMIXConfig

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
    from rllib_mmsa.rllib import MMSAConfig

    config = MMSAConfig().training(rollout_horizon=5, lr=1e-4, train_batch_size=8)
    assert (config.rollout_horizon, config.lr, config.train_batch_episodes) == (5, 1e-4, 8)
    with pytest.raises(TypeError, match="rollout_horizont"):
        MMSAConfig().training(rollout_horizont=5)


def test_reward_standardisation_scales_what_is_learned_from():
    algorithm = build("QMIX", standardise_rewards=True)
    algorithm.train()
    replay: EpisodeReplay = algorithm.replay
    assert algorithm._reward_scale() == pytest.approx(1 / replay.reward_deviation)
    assert replay.reward_deviation > 1
    algorithm.stop()


@pytest.mark.parametrize("bootstrap", [True, False])
def test_a_time_limit_bootstraps_unless_it_is_learned_as_an_end(bootstrap):
    algorithm = build("QMIX", env_config={"ends_by": "truncation"}, bootstrap_truncated=bootstrap)
    own = learner(algorithm)
    fields = batch_of(algorithm, algorithm.env_runner.sample(num_episodes=4))[TEAM]
    zeros = torch.zeros(*fields["rewards"].shape, 1)
    out = {"chosen_q_tot": zeros, "next_q_tot": zeros + 100.0}
    own.td_loss(algorithm.config, fields, out)
    mean_target = own._logged["td_target_mean"].item()
    mask = fields["loss_mask"]
    steps, episodes = mask.sum().item(), len(mask)
    bootstrapped = steps if bootstrap else steps - episodes
    expected = ((fields["rewards"] * mask).sum().item() + 99.0 * bootstrapped) / steps
    assert mean_target == pytest.approx(expected, rel=1e-5)
    algorithm.stop()


def test_a_sequence_with_all_that_came_before_is_as_good_as_its_episode():
    algorithm = build("QMIX", **FORAGING)
    episode = max(algorithm.env_runner.sample(num_episodes=20), key=len)
    start, stop = 4, len(episode) - 2
    sequence = batch_of(algorithm, [Window(episode, first=0, start=start, stop=stop)])
    whole = batch_of(algorithm, [episode])
    whole[TEAM]["loss_mask"][:, :start] = 0
    whole[TEAM]["loss_mask"][:, stop:] = 0
    assert sequence[TEAM]["rewards"].shape[1] == stop < whole[TEAM]["rewards"].shape[1]
    ours, theirs = gradients(algorithm, sequence), gradients(algorithm, whole)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-6)
    algorithm.stop()


@pytest.mark.parametrize("name", NAMES)
def test_sequences_train(name):
    algorithm = build(name, max_seq_len=5, replay_burn_in=2, **FORAGING)
    for _ in range(2):
        result = algorithm.train()
    logged = result["learners"][TEAM]
    assert np.isfinite(logged["td_loss"]) and logged["num_updates_lifetime"] > 0
    windows = algorithm.replay.sample(50)
    assert max(window.stop - window.first for window in windows) == 7
    algorithm.stop()


def test_a_burn_in_needs_sequences():
    with pytest.raises(ValueError, match="replay_burn_in is 2; it must be 0 where whole"):
        build("QMIX", replay_burn_in=2)


@pytest.mark.parametrize("name", ["MMSA", "QMIX"])
def test_normalised_observations_follow_training_alone(name):
    algorithm = build(name, normalise_observations=True, train_batch_episodes=8, **FORAGING)
    while len(algorithm.replay) < 30:
        algorithm.train()
    module = learner(algorithm).team_module
    acting = algorithm.env_runner.module[TEAM]
    assert module.obs_scale.updates > 0 and module.obs_scale.mean.any()
    before = weights(acting.obs_scale)
    np.testing.assert_array_equal(before["mean"], module.obs_scale.mean)  # sent with the weights
    assert not hasattr(acting, "state_scale")
    algorithm.env_runner.sample(num_episodes=8)
    np.testing.assert_array_equal(weights(acting.obs_scale)["mean"], before["mean"])
    every = [window.episode for window in algorithm.replay.sample(len(algorithm.replay))]
    seen = np.concatenate([episode.obs for episode in every])
    np.testing.assert_allclose(before["mean"], seen.mean(0), atol=0.1)
    np.testing.assert_allclose(before["variance"], seen.var(0), atol=0.05)
    batch = batch_of(algorithm, every[:4])[TEAM]
    scaled = module.scale_inputs(batch)["obs"]
    torch.testing.assert_close(scaled, module.obs_scale(batch["obs"]))
    algorithm.stop()


def test_a_replay_too_small_for_a_batch_is_said():
    algorithm = build("QMIX", replay_capacity_bytes=1500)
    with pytest.raises(ValueError, match=r"replay_capacity_bytes is 1500, which holds \d"):
        for _ in range(3):
            algorithm.train()
    algorithm.stop()


def test_a_replay_larger_than_the_memory_is_said_once(monkeypatch):
    from rllib_mmsa.rllib import algorithm as q_learning

    said = []
    monkeypatch.setattr(
        q_learning.logger, "warning", lambda words, *args: said.append(words % args)
    )
    algorithm = build("QMIX", replay_capacity_episodes=10**12)
    for _ in range(2):
        algorithm.train()
    assert len(said) == 1 and "set replay_capacity_bytes" in said[0]
    algorithm.stop()


@pytest.mark.parametrize("name", NAMES)
def test_who_acts_gets_the_weights_that_rllib_would_send(name):
    """``QModule.get_state`` takes them alone; RLlib takes all and drops what is not needed."""
    algorithm = build(name, normalise_observations=True)
    module = learner(algorithm).team_module
    sent = module.get_state(inference_only=True)
    expected = super(QModule, module).get_state(inference_only=True)
    assert list(sent) == list(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(sent[key], value)
    assert len(module.get_state()) > len(sent), "a checkpoint has everything"
    algorithm.stop()


@pytest.mark.parametrize("updates_per_episode", [2.0, 0.25])
def test_an_iteration_reports_all_its_updates(updates_per_episode):
    """Also where its last round had none: the learners hand their log over once an iteration."""
    config = {"updates_per_episode": updates_per_episode, **FORAGING}
    algorithm = build("QMIX", min_sample_timesteps_per_iteration=80, **config)
    algorithm.train()  # fills the replay
    for _ in range(6):
        before = learner(algorithm)._num_updates
        logged = algorithm.train()[LEARNER_RESULTS][TEAM]
        made = learner(algorithm)._num_updates
        assert made > before
        assert logged["num_updates_lifetime"] == made
        assert np.isfinite(logged["td_loss"])
    algorithm.stop()
