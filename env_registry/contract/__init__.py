"""The environment contract: one team agent, padded observations, masks, a global state.

Every environment that the algorithms train on, whatever it was written for, looks like this to
them (Ray's new API stack, `MultiAgentEnv`):

    observation_spaces["team"]  Dict {"obs": Box (N, D) float32,
                                      "action_mask": Box(0, 1, (N, A), int8),
                                      "state": Box (S,) float32}
    action_spaces["team"]       MultiDiscrete([A] * N)
    rewards["team"]             one float
    infos["team"]               "agent_rewards" (N,) float32 after every step; "win" (bool) on the
                                last step, only where the game can be won

Shape legend: N agents, A actions of the agent that has most, D length of the longest observation,
S length of the global state.

`base` holds the names, the types and the base class; `layout` says which numbers of an observation
are of one thing; `checks` plays an environment and says what
breaks the contract; `grouping` brings other environments under it; `ungrouped` shows one to RLlib's
own algorithms, agent by agent.
"""

from env_registry.contract.base import (
    ACTION_MASK,
    AGENT_REWARDS,
    ALL,
    OBS,
    STATE,
    TEAM,
    WIN,
    WIN_KEYS,
    GroupedEnv,
    Observation,
    StepResult,
    concat_state,
    keep_one_legal,
    pad_rows,
)
from env_registry.contract.checks import check_env
from env_registry.contract.grouping import as_grouped_env
from env_registry.contract.layout import (
    Entity,
    LaidOut,
    Layout,
    checked_layout,
    find_layout,
    in_a_row,
)
from env_registry.contract.ungrouped import AGENT_ID, UngroupedEnv, agent_space
from env_registry.errors import ContractError, EnvFailure, broken

__all__ = [
    "ACTION_MASK",
    "AGENT_ID",
    "AGENT_REWARDS",
    "ALL",
    "OBS",
    "STATE",
    "TEAM",
    "WIN",
    "WIN_KEYS",
    "ContractError",
    "Entity",
    "EnvFailure",
    "GroupedEnv",
    "LaidOut",
    "Layout",
    "Observation",
    "StepResult",
    "UngroupedEnv",
    "agent_space",
    "as_grouped_env",
    "broken",
    "check_env",
    "checked_layout",
    "concat_state",
    "find_layout",
    "in_a_row",
    "keep_one_legal",
    "pad_rows",
]
