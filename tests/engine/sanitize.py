"""The native engine's tests under AddressSanitizer and UndefinedBehaviorSanitizer: `make sanitize`.

Builds the C files with both into a library of its own, and runs the tests with it.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "-std=gnu11 -O3 -g -fno-math-errno -fno-trapping-math -Wno-psabi -pthread -shared -fPIC".split()
)
TESTS = "tests/engine/test_native.py", "tests/engine/test_native_robust.py"
#: With POISON, memory is filled with NaN before it is used.
SANITIZERS = "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DPOISON"


def main() -> int:
    compiler = os.environ.get("CC", "gcc")
    runtime = subprocess.check_output([compiler, "-print-file-name=libasan.so"], text=True).strip()
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "_native.so"
        source = ROOT / "rllib_mmsa" / "engine" / "native" / "native.c"
        command = [compiler, *FLAGS, *SANITIZERS, str(source), "-o", str(library), "-lm"]
        subprocess.run(command, check=True)
        env = {
            **os.environ,
            "RLLIB_MMSA_LIBRARY": str(library),
            "LD_PRELOAD": runtime,
            "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
        }
        # C's own words, which would be lost with the process, are not captured.
        tests = [sys.executable, "-m", "pytest", "-q", "--capture=sys", *TESTS, *sys.argv[1:]]
        return subprocess.run(tests, cwd=ROOT, env=env).returncode


if __name__ == "__main__":
    sys.exit(main())
