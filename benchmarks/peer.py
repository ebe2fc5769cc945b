"""EPyMARL's QMIX, asked to train some episodes: ``python -m benchmarks.peer PATH '{...}'``.

Runs under the peer's own Python, which needs what EPyMARL needs and nothing of ours. What its
``run.py`` does between two reports is done here: runner, buffer, batch, learner. No test
episodes, no saving.
"""

from __future__ import annotations

import importlib
import json
import logging
import random
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from benchmarks.protocol import serve

#: Its own way (a feed-forward network, one environment), the same with a recurrent network, as
#: ours has, and with its runner of 8 environments, each in a process of its own.
PEER_VARIANTS: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "recurrent": {"use_rnn": True},
    "recurrent, 8 environments": {"use_rnn": True, "runner": "parallel", "batch_size_run": 8},
}
_NEVER = 10**12  # env steps


class Peer:
    """EPyMARL's objects, built as its ``run_sequential`` does.

    Args:
        path: a checkout.
        task: a Gymnasium id.
        steps: time limit of an episode, env steps.
        settings: over its ``qmix`` configuration.
        threads: of PyTorch.
    """

    def __init__(self, path: str, task: str, steps: int, settings: dict[str, Any], threads: int):
        import lbforaging  # noqa: F401  (registers the task)
        import numpy as np
        import torch

        sys.path.insert(0, str(Path(path) / "src"))
        torch.set_num_threads(threads)
        for seed in (np.random.seed, torch.manual_seed, random.seed):
            seed(0)
        env_args = {"key": task, "time_limit": steps, "pretrained_wrapper": None, "seed": 0}
        always = {
            "use_cuda": False,
            "device": "cpu",
            "env_args": env_args,
            "epsilon_start": 1.0,
            "epsilon_finish": 1.0,
            "runner_log_interval": _NEVER,
            "learner_log_interval": _NEVER,
        }
        config = {**_config(Path(path)), **always, **settings}
        self._args = SimpleNamespace(**config)
        self._episodes = 0
        self._build()

    def _build(self) -> None:
        import torch

        _stand_in("smaclite")
        from components.episode_buffer import ReplayBuffer
        from components.transforms import OneHot
        from controllers import REGISTRY as controllers
        from learners import REGISTRY as learners
        from runners import REGISTRY as runners
        from utils.logging import Logger

        args, logger = self._args, Logger(logging.getLogger("peer"))
        self._runner = runners[args.runner](args=args, logger=logger)
        info = self._runner.get_env_info()
        args.n_agents, args.n_actions = info["n_agents"], info["n_actions"]
        args.state_shape = info["state_shape"]
        scheme = {
            "state": {"vshape": info["state_shape"]},
            "obs": {"vshape": info["obs_shape"], "group": "agents"},
            "actions": {"vshape": (1,), "group": "agents", "dtype": torch.long},
            "avail_actions": {"vshape": (args.n_actions,), "group": "agents", "dtype": torch.int},
            "reward": {"vshape": (1,)},
            "terminated": {"vshape": (1,), "dtype": torch.uint8},
        }
        groups = {"agents": args.n_agents}
        preprocess = {"actions": ("actions_onehot", [OneHot(out_dim=args.n_actions)])}
        limit = info["episode_limit"] + 1
        self._buffer = ReplayBuffer(
            scheme, groups, args.buffer_size, limit, preprocess=preprocess, device="cpu"
        )
        mac = controllers[args.mac](self._buffer.scheme, groups, args)
        self._runner.setup(scheme=scheme, groups=groups, preprocess=preprocess, mac=mac)
        self._learner = learners[args.learner](mac, self._buffer.scheme, logger, args)

    def warm_up(self) -> dict[str, Any]:
        """Fills the buffer and updates a few times."""
        while self._buffer.episodes_in_buffer < self._args.batch_size:
            self._collect()
        for _ in range(3):
            self._update()
        return {}

    def _collect(self) -> int:
        before = self._runner.t_env
        self._buffer.insert_episode_batch(self._runner.run(test_mode=False))
        self._episodes += self._runner.batch_size
        return self._runner.t_env - before

    def _update(self) -> None:
        batch = self._buffer.sample(self._args.batch_size)
        batch = batch[:, : batch.max_t_filled()]
        self._learner.train(batch, self._runner.t_env, self._episodes)

    def loop(self, episodes: int) -> dict[str, float]:
        """Collects ``episodes`` and updates once for each: env steps and seconds."""
        start, steps, done = time.perf_counter(), 0, 0
        while done < episodes:
            steps += self._collect()
            for _ in range(self._runner.batch_size):
                self._update()
            done += self._runner.batch_size
        return {
            "env_steps": steps,
            "episodes": done,
            "updates": done,
            "seconds": time.perf_counter() - start,
        }

    def memory(self) -> dict[str, float]:
        """Peak resident memory of this process so far, MB."""
        from benchmarks.machine import peak_memory_mb

        return {"peak_resident_mb": peak_memory_mb()}

    def stop(self) -> None:
        """Closes the environments."""
        self._runner.close_env()


def _stand_in(name: str) -> None:
    """An empty module for an environment package that EPyMARL imports and nobody plays here."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        sys.modules[name] = ModuleType(name)


def _config(path: Path) -> dict[str, Any]:
    """EPyMARL's settings of ``--config=qmix --env-config=gymma``."""
    import yaml

    config: dict[str, Any] = {}
    for file in ("default", "envs/gymma", "algs/qmix"):
        text = (path / "src" / "config" / f"{file}.yaml").read_text(encoding="utf-8")
        config |= yaml.safe_load(text)
    return config


if __name__ == "__main__":
    serve(lambda: Peer(sys.argv[1], **json.loads(sys.argv[2])))
