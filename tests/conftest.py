"""What all tests share: one thread, a quiet Ray, one Ray session, a folder for results."""

import os
import tempfile

# Before torch and Ray are imported, and inherited by every subprocess and Ray worker.
os.environ["OMP_NUM_THREADS"] = "1"  # one thread: the same sums in the same order, and no crowding
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning at every init
os.environ.setdefault("MPLBACKEND", "Agg")  # no window

# The key that checkpoints are sealed with: of this run alone.
os.environ["RLLIB_MMSA_KEY"] = os.path.join(tempfile.mkdtemp(), "key")

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray instance with 2 CPUs for the whole run.

    An Algorithm that is built without a storage path logs below a temporary folder, not in
    ~/ray_results.
    """
    import ray
    from ray.tune.trainable import trainable

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainable, "DEFAULT_STORAGE_PATH", str(tmp_path_factory.mktemp("ray")))
        ray.init(
            num_cpus=2,
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=256 * 1024**2,  # bytes
        )
        yield
        ray.shutdown()


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user trusts whatever is opened (`--trust`)."""
    from rllib_mmsa.command import trust

    monkeypatch.setenv(trust.VARIABLE, "1")


@pytest.fixture
def results_dir(tmp_path: Path) -> Path:
    """An empty folder for what a run writes: checkpoints, logs, pictures."""
    path = tmp_path / "results"
    path.mkdir()
    return path
