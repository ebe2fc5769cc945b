"""Settings of MAPPO and IPPO, with the values that EPyMARL's benchmark tuned for foraging.

Papoudakis, Christianos, Schaefer and Albrecht, "Benchmarking Multi-Agent Deep Reinforcement
Learning Algorithms in Cooperative Tasks", NeurIPS Datasets and Benchmarks, 2021 (its appendix, with
parameter sharing, as repeated by others); Yu et al., "The Surprising Effectiveness of PPO in
Cooperative Multi-Agent Games", NeurIPS Datasets and Benchmarks, 2022. docs/ppo.md says which value
is whose, and what differs.
"""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.ppo.ppo import PPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from rllib_mmsa.rllib.ppo.module import PolicyModule
from rllib_mmsa.rllib.ppo.runner import PolicyRunner
from rllib_mmsa.rllib.refused import REFUSED, UNUSED, Meaning
from rllib_mmsa.rllib.team_config import TeamConfig

_EPOCHS = ("num_epochs", "minibatch_size", "shuffle_batch_per_epoch")
_IN_ENV = "change it in the environment (`rllib docs environments`)"


class PolicyConfig(TeamConfig, PPOConfig):
    """RLlib's PPO settings for a team, and those below.

    Attributes:
        critic: "central", which sees the state (MAPPO), or "own", the agent's observation (IPPO).
        hidden_dim: of the policy and of the critic, two layers each.
        bootstrap_truncated: whether a time limit cuts an episode off, so that the value of its last
            observation counts; False: it is an end.
        train_batch_episodes: whole episodes of the team per batch, over all runners.
        minibatch_size: RLlib's, in agents' steps; None: the whole batch in each of ``num_epochs``.
    """

    module_class = PolicyModule
    refused = {
        **{name: why for name, why in REFUSED.items() if name != "_learner_connector"},
        "_rl_module_spec": Meaning(
            lambda spec: (
                spec is None
                or spec.module_class is None
                or issubclass(spec.module_class, PolicyModule)
            ),
            "the module is a subclass of PolicyModule, named as module_class in a configuration "
            "class",
        ),
        "learner_class": Meaning(
            lambda value: issubclass(value, PPOTorchLearner), "derive it from PPOTorchLearner"
        ),
        "observation_filter": Meaning(("NoFilter",), _IN_ENV),
        "clip_rewards": Meaning((None, False), _IN_ENV),
        "torch_compile_learner": Meaning((False,), "leave it out"),
        "torch_compile_worker": Meaning((False,), "leave it out"),
    }
    unused = {name: why for name, why in UNUSED.items() if name not in _EPOCHS}

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class)
        self.env_runner_cls = PolicyRunner
        self.bootstrap_truncated = True
        self.critic = "central"
        self.hidden_dim = 128
        # EPyMARL: 10 environments, of which each plays one episode for a batch.
        self.train_batch_episodes = 10
        self.num_envs_per_env_runner = 10
        # EPyMARL: the whole batch, four times.
        self.num_epochs = 4
        self.minibatch_size = None
        self.lr = 3e-4
        self.gamma = 0.99
        self.grad_clip = 10.0
        self.grad_clip_by = "global_norm"
        self.clip_param = 0.2
        self.entropy_coeff = 0.001
        self.lambda_ = 0.95  # Yu et al.; EPyMARL has five-step returns
        # Neither has a KL penalty nor clips the critic's error (RLlib's defaults: 0.2 and 10).
        self.use_kl_loss = False
        self.vf_clip_param = 1e6

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=self.module_class, model_config=self.model_config)

    @property
    def settings_names(self) -> tuple[str, ...]:
        """See ``TeamConfig``."""
        return ("critic", "hidden_dim")

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.settings_names}
        return super()._model_config_auto_includes | own


class MAPPOConfig(PolicyConfig):
    """PPO with a critic that sees the global state."""

    def __init__(self, algo_class: type | None = None):
        from rllib_mmsa.rllib.ppo.algorithm import MAPPO  # here: it imports this module

        super().__init__(algo_class=algo_class or MAPPO)


class IPPOConfig(PolicyConfig):
    """PPO with a critic that sees what the agent sees."""

    def __init__(self, algo_class: type | None = None):
        from rllib_mmsa.rllib.ppo.algorithm import IPPO  # here: it imports this module

        super().__init__(algo_class=algo_class or IPPO)
        self.critic = "own"
