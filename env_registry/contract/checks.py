"""What breaks the contract when an environment is played, in words.

Shape legend: N agents, A actions, D observation size, S state size.
"""

from __future__ import annotations

import copy
import reprlib
from typing import Any

import numpy as np
from gymnasium import spaces
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from env_registry.contract.answers import kind, reset_keys
from env_registry.contract.base import ACTION_MASK, AGENT_REWARDS, ALL, OBS, TEAM, WIN, GroupedEnv
from env_registry.contract.layout import checked_layout
from env_registry.contract.space_checks import check_spaces
from env_registry.errors import broken

Episode = list[tuple[np.ndarray | None, tuple[Any, ...]]]  # (action or None, what came back)

MAX_STEPS = 100_000  # of one episode, before the check calls it endless
BUILD_OBS = "build observations with GroupedEnv._observation"
BUILD_STEP = "build what step returns with GroupedEnv._transition"


def check_env(env: MultiAgentEnv, episodes: int = 2, seed: int = 0) -> None:
    """Plays an environment with random legal actions and says in words what breaks the contract.

    Args:
        env: An environment that means to follow the contract, or one that `as_grouped_env` brings
            under it.
        episodes: Episodes to play; the first is played twice, to see that a seed repeats it.
        seed: Of the first `reset` and of the random actions.

    Raises:
        ContractError: With value, rule and remedy, at the first thing found wrong.
    """
    if not _means_the_contract(env):
        from env_registry.contract.grouping import as_grouped_env  # here: it imports the adapters

        env = as_grouped_env(env)
    check_spaces(env)
    checked_layout(env)
    rng = np.random.default_rng(seed)
    first = _play(env, rng, seed)
    for _ in range(episodes - 1):
        _play(env, rng)
    _play(env, rng, seed, replay=first)


def _means_the_contract(env: Any) -> bool:
    return isinstance(env, GroupedEnv) or TEAM in (getattr(env, "possible_agents", None) or ())


def _play(
    env: MultiAgentEnv,
    rng: np.random.Generator,
    seed: int | None = None,
    replay: Episode | None = None,
) -> Episode:
    """Plays one episode, checking everything that comes back.

    Args:
        env: The environment.
        rng: Draws legal actions.
        seed: For `reset`.
        replay: An episode to play again, and to compare with.

    Returns:
        The reset (action None) and the steps, with copies of what the environment returned.
    """
    obs = _checked_reset(env, seed)
    episode: Episode = [(None, (copy.deepcopy(obs),))]
    over = False
    while not over:
        if replay is not None:
            _check_repeats(replay[len(episode) - 1], episode[-1], seed, len(episode) - 1)
        if len(episode) > MAX_STEPS:
            raise broken(
                f"an episode was not over after {MAX_STEPS} steps",
                "episodes end",
                "add a time limit and report it as truncated",
            )
        action = replay[len(episode)][0] if replay else _legal(rng, obs[TEAM][ACTION_MASK])
        result = env.step({TEAM: action})
        over = _check_step(env, result, f"step {len(episode)}")
        _check_not_reused(obs, episode[-1][1][0], len(episode))
        obs = result[0]
        episode.append((action, copy.deepcopy(result[:4])))
    if replay is not None:
        _check_repeats(replay[len(episode) - 1], episode[-1], seed, len(episode) - 1)
    return episode


def _legal(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """One random legal action per agent: mask (N, A) -> (N,) int64."""
    return np.array([rng.choice(np.flatnonzero(row)) for row in mask])


def _checked_reset(env: MultiAgentEnv, seed: int | None) -> Any:
    reset_keys(env)
    result = env.reset(seed=seed)
    if not isinstance(result, tuple) or len(result) != 2:
        raise broken(
            f"reset returned {kind(result)}",
            "reset(*, seed=None, options=None) returns (observations, infos)",
            "return a pair of dictionaries",
        )
    _check_observation(env, result[0], "reset")
    _check_ids(result[1], {TEAM}, "the infos", "reset")
    return result[0]


def _check_step(env: MultiAgentEnv, result: Any, where: str) -> bool:
    """Checks what `step` returned; True if the episode is over."""
    if not isinstance(result, tuple) or len(result) != 5:
        raise broken(
            f"{where} returned {kind(result)}",
            "step returns (observations, rewards, terminateds, truncateds, infos)",
            BUILD_STEP,
        )
    obs, rewards, terminateds, truncateds, infos = result
    _check_observation(env, obs, where)
    _check_ids(rewards, {TEAM}, "the rewards", where)
    reward = rewards[TEAM]
    if not isinstance(reward, (float, np.floating)) or not np.isfinite(reward):
        raise broken(
            f"{where}: the team reward is {reward!r} ({type(reward).__name__})",
            "it must be one finite float",
            "float(sum(agent_rewards))",
        )
    ended = [
        _check_flags(flags, what, where)
        for flags, what in ((terminateds, "terminateds"), (truncateds, "truncateds"))
    ]
    if all(ended):
        raise broken(
            f"{where}: the episode is both terminated and truncated",
            "an episode that came to its own end has terminated; only one cut by a time limit is "
            "truncated",
            "truncated = over and not terminated",
        )
    n_agents = env.observation_spaces[TEAM][OBS].shape[0]
    _check_info(infos, n_agents, where)
    return any(ended)


def _check_flags(flags: Any, what: str, where: str) -> bool:
    _check_ids(flags, {TEAM, ALL}, what, where)
    for key, flag in flags.items():
        if not isinstance(flag, (bool, np.bool_)):
            raise broken(f"{where}: {what}[{key!r}] is {flag!r}", "it must be a bool", BUILD_STEP)
    if flags[TEAM] != flags[ALL]:
        raise broken(
            f"{where}: {what} is {flags!r}",
            f"the team is all there is: {TEAM!r} and {ALL!r} must agree",
            BUILD_STEP,
        )
    return bool(flags[ALL])


def _check_info(infos: Any, n_agents: int, where: str) -> None:
    _check_ids(infos, {TEAM}, "the infos", where)
    info = infos[TEAM]
    if not isinstance(info, dict) or AGENT_REWARDS not in info:
        raise broken(
            f"{where}: infos[{TEAM!r}] is {info!r}",
            f"it must be a dict with {AGENT_REWARDS!r}",
            BUILD_STEP,
        )
    rewards = info[AGENT_REWARDS]
    ok = isinstance(rewards, np.ndarray) and rewards.shape == (n_agents,)
    if not ok or rewards.dtype != np.float32 or not np.isfinite(rewards).all():
        raise broken(
            f"{where}: {AGENT_REWARDS!r} is {rewards!r}",
            f"it must be a finite array of shape ({n_agents},) and dtype float32",
            "np.array(agent_rewards, np.float32)",
        )
    if WIN in info and not isinstance(info[WIN], (bool, np.bool_)):
        raise broken(f"{where}: {WIN!r} is {info[WIN]!r}", "it must be a bool", "bool(won)")


def _check_observation(env: MultiAgentEnv, obs: Any, where: str) -> None:
    _check_ids(obs, {TEAM}, "the observations", where)
    space = env.observation_spaces[TEAM]
    _check_ids(obs[TEAM], set(space.spaces), "the team's observations", where)
    for key, box in space.spaces.items():
        value = obs[TEAM][key]
        if not isinstance(value, np.ndarray) or (value.shape, value.dtype) != (
            box.shape,
            box.dtype,
        ):
            raise broken(
                f"{where}: {key!r} is {_array(value)}",
                f"it must be an array of shape {box.shape} and dtype {box.dtype}",
                "np.asarray(value, dtype), and env_registry.contract.pad_rows if sizes differ",
            )
        if not np.isfinite(value).all():
            raise broken(
                f"{where}: {key!r} holds NaN or an infinite number: {_not_finite(value)}",
                "every number is finite",
                "look for a division by zero in the game, or np.nan_to_num",
            )
        if not box.contains(value):
            raise broken(
                f"{where}: {key!r} leaves its space. {_outside(value, box)}",
                "observations stay within the bounds of their space",
                "widen the bounds (obs_bounds, state_bounds) or clip the values",
            )
    mask = obs[TEAM][ACTION_MASK]
    legal = mask.any(axis=1)
    if not legal.all():
        agent = int(np.argmin(legal))
        raise broken(
            f"{where}: agent {agent} has no legal action: its mask is {mask[agent].tolist()}",
            "every agent has one at all times; one that died keeps a no-op",
            "env_registry.contract.keep_one_legal(action_mask)",
        )


def _outside(value: np.ndarray, box: spaces.Box) -> str:
    """Words the first number that is out of bounds."""
    index = tuple(int(i) for i in np.argwhere((value < box.low) | (value > box.high))[0])
    return f"At {index} stands {value[index]}, outside [{box.low[index]}, {box.high[index]}]"


def _check_ids(found: Any, wanted: set[str], what: str, where: str) -> None:
    if not isinstance(found, dict) or set(found) != wanted:
        has = f"have the keys {list(found)}" if isinstance(found, dict) else f"are {_short(found)}"
        raise broken(
            f"{where}: {what} {has}",
            f"they must be a dict with exactly the keys {sorted(wanted)}",
            BUILD_OBS if "observation" in what else BUILD_STEP,
        )


def _check_not_reused(obs: Any, copied: Any, step: int) -> None:
    if not _same(obs, copied):
        raise broken(
            f"step {step} changed the observation that was returned before it",
            "an observation belongs to whoever received it: replay keeps it",
            "return new arrays each step, or copies",
        )


def _check_repeats(first: Any, again: Any, seed: int | None, step: int) -> None:
    if not _same(first, again):
        where = f"step {step}" if step else "reset"
        raise broken(
            f"two episodes after reset(seed={seed}) with the same actions differ at {where}",
            "the same seed and actions give the same episode, whatever was played before",
            "draw all random numbers from self.np_random, after super().reset(seed=seed), and "
            "clear everything that an episode leaves behind",
        )


def _same(a: Any, b: Any) -> bool:
    """Whether two nested values are equal, arrays by content."""
    if isinstance(a, dict):
        return isinstance(b, dict) and set(a) == set(b) and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return np.array_equal(a, b)


def _array(value: Any) -> str:
    """Words what should be an array: its value, and its shape and dtype where it has them."""
    if not isinstance(value, (np.ndarray, np.generic)):
        return f"{_short(value)} (a {type(value).__name__})"
    return f"{_short(value)} of shape {value.shape} and dtype {value.dtype}"


def _not_finite(value: np.ndarray) -> str:
    """Words the first number that is not finite."""
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
    return f"at {index} stands {value[index]}"


def _short(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, np.ndarray):
        first = ", ".join(f"{number:g}" for number in value.ravel()[:4].astype(float))
        return f"[{first}{', ...' * (value.size > 4)}]"
    return reprlib.repr(value)
