"""A signal while Python runs what nothing can interrupt: a destructor, a callback of the GC."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc, os, signal
from rllib_mmsa.command.run import interrupt

def signalled(phase, info):
    if phase == "start":
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):  # the handler runs between two of these
            pass

class Wrong:
    def __del__(self):
        raise ValueError("its own mistake")

with interrupt.graceful():
    if {destructor}:
        Wrong()
    else:
        gc.callbacks.append(signalled)
        gc.collect()
        gc.callbacks.remove(signalled)
        print(interrupt.requested.is_set())
"""


def run(destructor: bool) -> subprocess.CompletedProcess:
    """The script in a process of its own: pytest has a hook for such errors itself."""
    command = [sys.executable, "-c", SCRIPT.format(destructor=destructor)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_an_interrupt_that_a_callback_swallows_prints_nothing():
    ran = run(destructor=False)
    assert ran.stdout == "True\n"
    assert "Traceback" not in ran.stderr


def test_another_error_of_a_destructor_is_still_printed():
    assert "ValueError: its own mistake" in run(destructor=True).stderr
