"""The policy that all agents share, and its critic, for RLlib's PPO.

Shapes: B agents' steps, N agents of the team, A actions, D observation numbers, S state numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from torch import Tensor, nn

from env_registry.contract import ACTION_MASK, AGENT_ID, OBS, STATE
from rllib_mmsa.rllib.module import require_finite

#: The logit of an illegal action: its probability is 0 in float32, and all logarithms are finite.
ILLEGAL = -1e9


class PolicyModule(TorchRLModule, ValueFunctionAPI, InferenceOnlyAPI):
    """A policy under action masks, and a critic; both know which agent it is.

    The observation is one agent's (``env_registry.contract.agent_space``): {"obs" (B, D),
    "action_mask" (B, A), "state" (B, S), "agent_id" (B, N)}. Acting needs ``policy`` alone.

    ``model_config``: ``critic``, "central" (the critic sees the state: MAPPO) or "own" (the agent's
    observation: IPPO); ``hidden_dim``, of both networks.

    Source: EPyMARL's networks without recurrence (``use_rnn: False``), which its benchmark chose
    for Level-Based Foraging: two hidden layers with ReLU, the agent's index beside the input, and,
    for the central critic, the state instead of the observation (``modules/critics/centralV.py``).
    """

    #: There are no running statistics that could be put back (``QModule``).
    num_repaired = 0

    def setup(self) -> None:
        spaces: Any = self.observation_space
        config = {"critic": "central", "hidden_dim": 128, **(self.model_config or {})}
        self._critic_sees = STATE if config["critic"] == "central" else OBS
        hidden, (num_agents,) = config["hidden_dim"], spaces[AGENT_ID].shape
        num_actions = int(spaces[ACTION_MASK].shape[0])
        self.policy = _mlp(spaces[OBS].shape[0] + num_agents, hidden, num_actions)
        self.critic = _mlp(spaces[self._critic_sees].shape[0] + num_agents, hidden, 1)

    def get_non_inference_attributes(self) -> list[str]:
        """What the runners do not need."""
        return ["critic"]

    def set_state(self, state: dict[str, Any]) -> None:
        """RLlib's.

        Raises:
            NotFiniteWeights: the weights are not finite.
        """
        super().set_state(state)
        require_finite(self, "cannot be read")

    def logits(self, obs: dict[str, Tensor]) -> Tensor:
        """The policy: (..., A) logits, ``ILLEGAL`` where an action is.

        Args:
            obs: "obs" (..., D), "agent_id" (..., N), "action_mask" (..., A).
        """
        logits = self.policy(torch.cat([obs[OBS].float(), obs[AGENT_ID].float()], -1))
        return logits.masked_fill(obs[ACTION_MASK] == 0, ILLEGAL)

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """RLlib's: what it samples actions from."""
        return {Columns.ACTION_DIST_INPUTS: self.logits(batch[Columns.OBS])}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        """The critic: (B,) values.

        Args:
            batch: has the observation.
            embeddings: nothing is shared with the policy.
        """
        obs = batch[Columns.OBS]
        seen = torch.cat([obs[self._critic_sees].float(), obs[AGENT_ID].float()], -1)
        return self.critic(seen).squeeze(-1)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )
