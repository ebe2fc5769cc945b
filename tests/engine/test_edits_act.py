"""Who edits the maths gets the maths: in every update, whatever `engine` says."""

import inspect

import pytest
import torch

from env_registry.contract import TEAM
from rllib_mmsa import whole
from rllib_mmsa.engine import trust
from rllib_mmsa.method import (
    agents,
    inputs,
    losses,
    mixers,
    sale,
    standardiser,
    targets,
    update,
    uses,
    world_model,
)
from rllib_mmsa.method.settings import MMSASettings
from rllib_mmsa.rllib import MMSAConfig
from rllib_mmsa.rllib.learner import MMSALearner
from rllib_mmsa.rllib.module import MMSAModule
from tests.algorithms import SMALL, SMALL_MMSA, batch_of, learner, train_batch

pytestmark = pytest.mark.usefixtures("ray_session")

ENGINES = ["auto", "native", "plain", "compile"]
UPDATES = 3
STEPS = {"num_env_steps_sampled_lifetime": 0, "num_episodes_lifetime": 0}
LOSSES = list(losses.losses_of(MMSASettings()))


def build(engine: str, learner_class=MMSALearner, module_class=MMSAModule, **settings):
    """MMSA with classes of a user's."""
    config = MMSAConfig().environment("two_step").debugging(seed=0)
    config.learner_class, config.module_class = learner_class, module_class
    config.update_from_dict({**SMALL, **SMALL_MMSA, "engine": engine, **settings})
    return config.build_algo()


def train(algorithm, updates: int = UPDATES) -> None:
    batch = train_batch(algorithm.env_runner.sample(num_episodes=4))
    for _ in range(updates):
        algorithm.learner_group.update(batch=batch, timesteps=STEPS)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", LOSSES)
def test_an_overridden_loss_is_learned_from_in_every_update(name, engine):
    calls = []

    class Learner(MMSALearner):
        def losses(self):
            equations = super().losses()

            def changed(step, settings):
                calls.append(name)
                return 0.0 * equations[name](step, settings) + 5.0

            return {**equations, name: changed}

    algorithm = build(engine, learner_class=Learner)
    train(algorithm)
    assert calls == [name] * UPDATES
    assert learner(algorithm)._logged[name].item() == 5.0
    algorithm.stop()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", LOSSES)
def test_an_equation_replaced_at_run_time_is_learned_from_in_every_update(
    name, engine, monkeypatch
):
    module = losses if hasattr(losses, name) else uses
    calls, equation = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args: calls.append(name) or 2.0 * equation(*args))
    algorithm = build(engine)
    assert learner(algorithm).engine.name == "plain"
    train(algorithm)
    assert calls == [name] * UPDATES
    algorithm.stop()


def methods_of(*classes: type) -> list[tuple[type, str]]:
    """The methods that an update of MMSA calls; `repair` is called where a checkpoint is read."""
    idle = {"initial_state", "step", "predict", "encoder_parameters", "invert", "scale_gradient"}
    idle |= {"repair"}
    return [
        (kind, name)
        for kind in classes
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and not name.startswith("_") and name not in idle
    ]


NETWORKS = [
    *methods_of(agents.SaleAgent, sale.SaleEncoder, mixers.QMixer, mixers.RolloutAggregator),
    *methods_of(world_model.WorldModel, world_model.ResidualNet, standardiser.Standardiser),
    *[(agents.RecurrentAgent, name) for name in ("unroll", "embed", "recur", "one_hot")],
    (world_model.Gaussian, "sample"),
    (world_model.Gaussian, "scale_gradient"),
    (targets.StepMean, "__call__"),
]


@pytest.mark.parametrize("engine", ["auto", "native"])
@pytest.mark.parametrize(
    ("kind", "name"), NETWORKS, ids=lambda part: getattr(part, "__name__", part)
)
def test_a_replaced_network_method_is_called_in_every_update(kind, name, engine, monkeypatch):
    calls, method = [0], getattr(kind, name)

    def replaced(self, *args, **kwargs):
        calls[0] += 1
        return method(self, *args, **kwargs)

    monkeypatch.setattr(kind, name, replaced)
    algorithm = build(engine)
    assert learner(algorithm).engine.name == "plain"
    seen = []
    for _ in range(UPDATES):
        before = calls[0]
        train(algorithm, updates=1)
        seen.append(calls[0] - before)
    assert all(seen)
    algorithm.stop()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_subclass_of_a_network_is_used_in_every_update(engine):
    calls = []

    class Model(world_model.WorldModel):
        def prior(self, *reads):
            calls.append(torch.is_grad_enabled())
            return super().prior(*reads)

    class Module(MMSAModule):
        def make_world_model(self):
            return Model(self.num_agents, self.num_actions, self.obs_size, self.settings)

    algorithm = build(engine, module_class=Module)
    train(algorithm)
    # Once at the steps themselves, and then along each prediction but the last.
    horizon = learner(algorithm).team_module.settings.rollout_horizon
    assert calls.count(True) == UPDATES * horizon
    algorithm.stop()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("hook", ["_forward_train", "compute_loss_for_module"])
def test_rllibs_hooks_stay_true(hook, engine):
    calls = []
    parent = MMSAModule if hook == "_forward_train" else MMSALearner

    def override(self, *args, **kwargs):
        calls.append(hook)
        return getattr(parent, hook)(self, *args, **kwargs)

    changed = type("Changed", (parent,), {hook: override})
    classes = {"module_class" if parent is MMSAModule else "learner_class": changed}
    algorithm = build(engine, **classes)
    train(algorithm)
    assert calls == [hook] * UPDATES
    algorithm.stop()


def test_an_overridden_way_of_acting_acts():
    calls = []

    class Module(MMSAModule):
        def _forward_exploration(self, batch, **kwargs):
            calls.append("explores")
            return super()._forward_exploration(batch, **kwargs)

    algorithm = build("auto", module_class=Module)
    algorithm.env_runner.sample(num_episodes=1)
    assert calls and algorithm.env_runner.engine.name == "plain"
    assert algorithm.env_runner.module[TEAM].agent.num_agents == 2
    algorithm.stop()


def test_a_function_of_the_update_that_was_replaced_is_seen(monkeypatch):
    monkeypatch.setattr(update, "mixer_state", lambda *args: update.torch.cat([args[1]], -1))
    algorithm = build("auto", use_world_model=False)
    assert learner(algorithm).engine.name == "plain"
    algorithm.stop()


def test_a_hook_on_a_network_is_seen():
    class Module(MMSAModule):
        def setup_training(self):
            super().setup_training()
            self.mixer.register_forward_hook(lambda *args: None)

    Module.__module__, Module.__name__ = MMSAModule.__module__, "MMSAModule"
    algorithm = build("auto", module_class=Module)
    assert learner(algorithm).engine.name == "plain"
    algorithm.stop()


def test_a_constant_that_was_replaced_is_seen(monkeypatch):
    monkeypatch.setattr(world_model, "LOG_STD_RANGE", (-0.5, 0.5))
    algorithm = build("auto")
    one = learner(algorithm)
    assert one.engine.name == "plain"
    # Asked of `trust` itself: without a fast engine to choose from, no engine gives a reason.
    assert "world_model.LOG_STD_RANGE was replaced" in trust.not_the_method(one.team_module, one)
    algorithm.stop()


def test_an_override_of_what_is_read_acts_where_it_is_learned(tmp_path):
    class Module(MMSAModule):
        def scale_observations(self, obs):
            return 3 * super().scale_observations(obs)

    algorithm = build("auto", module_class=Module)
    module, (episode,) = learner(algorithm).team_module, algorithm.env_runner.sample(num_episodes=1)
    fields = batch_of(algorithm, [episode])[TEAM]
    assert torch.equal(inputs.observe(module, update.Batch.of(fields)).obs, 3 * fields["obs"])
    algorithm.save_to_path(str(tmp_path))
    assert not (tmp_path / whole.TEAM_FILE).exists()  # it would act without the override
    algorithm.stop()
