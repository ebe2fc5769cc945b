"""A Ray cluster of two nodes on this machine: each has a runner, and all train one module."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

#: In a process of its own: a process has one Ray, and the tests have theirs.
PROGRAM = """
import ray
from ray.cluster_utils import Cluster

from rllib_mmsa import QMIXConfig

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "resources": {"place": 1}})
cluster.add_node(num_cpus=1, resources={"place": 1})
ray.init(address=cluster.address, log_to_driver=False)
config = (
    QMIXConfig()
    .environment("counter")
    .env_runners(
        num_env_runners=2,
        num_envs_per_env_runner=2,
        overlap_sampling=True,
        custom_resources_per_env_runner={"place": 1},
    )
    .training(train_batch_episodes=4, learning_starts_episodes=4, hidden_dim=8)
    .evaluation(evaluation_interval_env_steps=None)
)
config.min_sample_timesteps_per_iteration = 20
algorithm = config.build_algo()
nodes = algorithm.env_runner_group.foreach_env_runner(
    lambda runner: ray.get_runtime_context().get_node_id(), local_env_runner=False
)
for _ in range(3):
    result = algorithm.train()
print("NODES", len(set(nodes)), "UPDATES", result["learners"]["team"]["num_updates_lifetime"])
algorithm.stop()
ray.shutdown()
cluster.shutdown()
"""


def test_runners_on_two_nodes_train_one_module():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    words = next(line for line in done.stdout.splitlines() if line.startswith("NODES")).split()
    assert words[1] == "2" and int(float(words[3])) > 0
