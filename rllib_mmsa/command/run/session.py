"""Starts Ray for one run, quietly, and out of reach of the signals that mean the command."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence

import ray
from ray._private import services
from ray._private import utils as ray_utils

from rllib_mmsa.command.experiment import imports, preflight


def start(
    names: Sequence[str], *, address: str | None, num_cpus: int | None, verbose: bool
) -> None:
    """Start a Ray for this run alone, or connect to a cluster.

    Args:
        names: What every worker imports.
        address: A running cluster's; None: Ray is started here.
        num_cpus: CPUs that a Ray started here may use; None: all.
        verbose: Show the logs of Ray and of the workers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # see rllib_mmsa/command/run/interrupt.py
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new reporter prints tables even at verbose=0
    # Networks this small gain nothing from more threads, and several trials at a time lose.
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    if not verbose:
        warnings.simplefilter("ignore")
    address = address or os.environ.get("RAY_ADDRESS")
    with out_of_reach():
        ray.init(
            address=address or "local",
            num_cpus=None if address else num_cpus,
            include_dashboard=None if address else False,
            log_to_driver=verbose,
            logging_level=logging.INFO if verbose else logging.ERROR,
            runtime_env={
                "env_vars": {**threads, **imports.worker_variables(names)},
                "worker_process_setup_hook": "rllib_mmsa.command.experiment.imports.setup_worker",
            },
        )
    if not verbose:
        preflight.quiet_logs()


@contextlib.contextmanager
def out_of_reach() -> Iterator[None]:
    """Within it, Ray's processes are started in sessions of their own, and our handlers stay.

    A signal to the process group (Ctrl-C, `timeout`, a terminal that closes) would end Ray's
    processes before they could save. Without ours, they still end: the kernel kills them with it.
    Where it cannot (not Linux), Ray finds them by their group, and they stay in it.
    """
    popen, set_handler = services.ConsolePopen, ray_utils.set_sigterm_handler
    if ray_utils.detect_fate_sharing_support_linux():
        services.ConsolePopen = functools.partial(popen, start_new_session=True)
    ray_utils.set_sigterm_handler = lambda handler: _keep_handler()  # Ray's would exit
    try:
        yield
    finally:
        services.ConsolePopen, ray_utils.set_sigterm_handler = popen, set_handler
        _keep_handler()


def _keep_handler() -> None:
    """Install Python's handler of SIGTERM again: Ray's compiled part puts its own in its place."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
