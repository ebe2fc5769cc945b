"""The names of what this project logs beside RLlib's own metrics, once."""

from __future__ import annotations

# At the top of a result.
ENV_BACKEND = "env_backend"
ENGINE = "engine"
VERSION = "version"
NUM_ENV_RUNNER_RESTARTS = "num_env_runner_restarts"  # since this process began
IMAGINED_PNG = "imagined_png"  # a picture's bytes; taken out before a result is logged
TEST_RETURN = "test_return"  # of the latest evaluation
TEST_WIN_RATE = "test_win_rate"
TEST_ENV_STEPS = "test_env_steps"  # at which it was made

# Under env_runners/ and evaluation/env_runners/.
WIN_RATE = "win_rate"
EPSILON = "epsilon"
NUM_EPISODES_DROPPED_LIFETIME = "num_episodes_dropped_lifetime"
NUM_EPISODES_NOT_FINITE_LIFETIME = "num_episodes_not_finite_lifetime"  # of those dropped

# Under learners/team/.
NUM_SKIPPED_UPDATES = "num_skipped_updates"
NUM_TARGET_UPDATES = "num_target_updates"
NUM_UPDATES_LIFETIME = "num_updates_lifetime"

# Under replay/.
REPLAY = "replay"
REPLAY_NUM_EPISODES = "num_episodes"
REPLAY_NUM_ENV_STEPS = "num_env_steps"
REPLAY_NBYTES = "bytes"
