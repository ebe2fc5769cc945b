"""RLlib's own algorithms in the same process: neither they nor ours learn anything else for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.smoke.test_cli import environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: Trains what its arguments name, by turns; prints a digest of each one's weights and returns.
SCRIPT = """
import hashlib, json, sys
import numpy as np
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.examples.envs.classes.multi_agent import MultiAgentCartPole
from ray.tune.registry import register_env

wanted = sys.argv[1:]
assert "rllib_mmsa" not in sys.modules
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
register_env("cart_poles", lambda config: MultiAgentCartPole({"num_agents": 2}))


def ppo(env):
    config = PPOConfig().environment(env).debugging(seed=3).env_runners(num_env_runners=0)
    return config.training(train_batch_size_per_learner=200, minibatch_size=50, num_epochs=2)


def poles():
    both = dict(policies={"p0", "p1"}, policy_mapping_fn=lambda agent, *_, **__: f"p{agent}")
    return ppo("cart_poles").multi_agent(**both)


def ours():
    from tests.algorithms import SMALL, SMALL_MMSA
    from rllib_mmsa import MMSAConfig

    config = MMSAConfig().environment("two_step").debugging(seed=3)
    return config.update_from_dict({**SMALL, **SMALL_MMSA, "num_env_runners": 0})


def digest(algorithm, returns):
    weights = algorithm.learner_group.get_weights()
    digest = hashlib.sha256()
    for module in sorted(weights):
        for name in sorted(weights[module]):
            digest.update(np.asarray(weights[module][name]).tobytes())
    return [digest.hexdigest(), returns]


make = {"cart_pole": lambda: ppo("CartPole-v1"), "cart_poles": poles, "ours": ours}
algorithms = {name: make[name]().build_algo() for name in wanted}
returns = {name: [] for name in wanted}
for _ in range(3):
    for name in wanted:
        result = algorithms[name].train()
        returns[name].append(result["env_runners"]["episode_return_mean"])
print(json.dumps({name: digest(algorithms[name], returns[name]) for name in wanted}))
from ray.rllib.algorithms import algorithm
for name in ("EnvRunnerGroup", "TrainIterCtx"):
    assert getattr(algorithm, name).__module__.startswith("ray."), "RLlib's own is left as it is"
print(type(algorithms[wanted[0]].env_runner_group).__name__)
"""


def trained(tmp_path, *names: str) -> dict[str, list]:
    # RLlib's policies are a set of names, whose order another process would have otherwise.
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *names], env={**environment(), "PYTHONHASHSEED": "0"},
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *_, found, group = done.stdout.splitlines()
    assert group == ("RunnerGroup" if names[0] == "ours" else "EnvRunnerGroup")
    return json.loads(found)


@pytest.mark.parametrize("ppo", ["cart_pole", "cart_poles"])
def test_ppo_and_ours_learn_by_turns_what_they_learn_alone(tmp_path, ppo):
    """One PPO at a time: two would draw from one global generator, as they do without ours."""
    alone = {**trained(tmp_path, ppo), **trained(tmp_path, "ours")}
    assert trained(tmp_path, "ours", ppo) == alone
