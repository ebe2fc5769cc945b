"""Who may import whom: method <- engine <- rllib <- command; report and errors stand apart.

The environments know no algorithm, and the algorithms know of them only the contract.
docs/architecture.md shows the same as a picture.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ("rllib_mmsa", "env_registry")


class Rule(NamedTuple):
    """What the modules of one layer may import.

    Args:
        allowed: prefixes of the project's own modules.
        forbidden: prefixes of what it must not import all the same, of any package.
        packages: the only packages allowed besides the standard library and the project; None: any.
    """

    allowed: tuple[str, ...]
    forbidden: tuple[str, ...] = ()
    packages: tuple[str, ...] | None = None


METHOD, ENGINE, RLLIB, ERRORS, OLDER, ACTING = (
    f"rllib_mmsa.{layer}" for layer in ("method", "engine", "rllib", "errors", "older", "team")
)
SERVING = "rllib_mmsa.serving"
WHOLE, SEAL, ORIGIN = "rllib_mmsa.whole", "rllib_mmsa.seal", "rllib_mmsa.origin"
REPLACING = "rllib_mmsa.replacing"
ALGORITHMS = (METHOD, RLLIB, ACTING, ERRORS, OLDER, WHOLE, ORIGIN, "env_registry.contract")

# The longest matching prefix decides.
RULES = {
    METHOD: Rule((METHOD,), forbidden=("ctypes",), packages=("torch", "numpy")),
    ENGINE: Rule((METHOD, ENGINE), forbidden=("ray",)),
    # Acts where there is no trainer.
    ACTING: Rule((METHOD, ACTING, WHOLE), packages=("torch", "numpy", "safetensors")),
    SERVING: Rule((SERVING, ERRORS), forbidden=("torch",)),
    # Files that can be copied to where this package is not.
    f"{SERVING}.server": Rule((), packages=("numpy", "onnxruntime")),
    f"{SERVING}.client": Rule((), packages=("numpy",)),
    RLLIB: Rule(ALGORITHMS),
    # An engine is chosen in two places: for updates, and for the steps of acting.
    f"{RLLIB}.learner": Rule((*ALGORITHMS, ENGINE)),
    f"{RLLIB}.runner": Rule((*ALGORITHMS, ENGINE)),
    "rllib_mmsa.command": Rule(PROJECT, forbidden=("rllib_mmsa.command.cli",)),
    "rllib_mmsa.command.cli": Rule(PROJECT),
    # Reads what runs wrote, on a machine that need not be able to run anything.
    "rllib_mmsa.report": Rule(("rllib_mmsa.report", ERRORS, REPLACING), forbidden=("ray", "torch")),
    ERRORS: Rule((), packages=()),
    REPLACING: Rule((), packages=()),
    WHOLE: Rule((SEAL,), packages=()),
    SEAL: Rule((), packages=()),
    ORIGIN: Rule((WHOLE, ERRORS), packages=()),
    "rllib_mmsa.registration": Rule((RLLIB,)),
    OLDER: Rule((), packages=()),
    "rllib_mmsa.__init__": Rule((RLLIB, ACTING, "rllib_mmsa.registration", OLDER, "env_registry")),
    "rllib_mmsa.__main__": Rule(("rllib_mmsa.command.cli",)),
    "env_registry": Rule(("env_registry",)),
}


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def module_of(file: str) -> str:
    """`rllib_mmsa/rllib/__init__.py` -> `rllib_mmsa.rllib.__init__`."""
    return file.removesuffix(".py").replace("/", ".")


def imports(source: str, module: str) -> Iterator[tuple[int, str]]:
    """Every import of a source text, inside functions too, as (line, full name).

    `from a.b import c` counts as `a.b.c`: right both where c is a module and where it is a name.
    """
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.lineno, str(node.args[0].value)


def violations(source: str, module: str) -> list[str]:
    """One sentence for each import that the module's rule does not allow."""
    prefixes = [prefix for prefix in RULES if within(module, prefix)]
    if not prefixes:
        return [f"{module} is in no layer; give its folder a rule, or move the file"]
    rule = RULES[max(prefixes, key=len)]
    sentences = []
    for line, name in imports(source, module):
        package = name.split(".")[0]
        if package in PROJECT:
            fits = any(within(name, prefix) for prefix in rule.allowed)
        else:
            fits = rule.packages is None or package in {*rule.packages, *sys.stdlib_module_names}
        if not fits:
            allowed = ", ".join((*rule.allowed, *(rule.packages or ())))
            sentences.append(f"{module}:{line} imports {name}; allowed: {allowed}")
        if any(within(name, prefix) for prefix in rule.forbidden):
            sentences.append(f"{module}:{line} imports {name}; forbidden in this layer")
    return sentences


FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for package in PROJECT
    for path in (ROOT / package).rglob("*.py")
)


@pytest.mark.parametrize("file", FILES)
def test_imports_only_from_its_layer_and_below(file):
    source = (ROOT / file).read_text(encoding="utf-8")
    broken = violations(source, module_of(file))
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("prefix", RULES)
def test_each_rule_has_files(prefix):
    """A renamed folder would otherwise leave its rule, and the test above, without effect."""
    assert any(within(module_of(file), prefix) for file in FILES)


# What makes an update fast is in the engine alone.
FAST = re.compile(r"ctypes|torch.jit|ThreadPool|kernels")
PLAIN = ("rllib_mmsa/method/", "rllib_mmsa/rllib/", "rllib_mmsa/command/")


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith(PLAIN)])
def test_compiled_code_and_threads_are_in_the_engine_alone(file):
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    assert not [f"{file}:{n}: {line}" for n, line in enumerate(lines, 1) if FAST.search(line)]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("rllib_mmsa.method.agents", "import ray"),
        ("rllib_mmsa.method.agents", "from ray.rllib.core import Columns"),
        ("rllib_mmsa.method.agents", "import ctypes"),
        ("rllib_mmsa.method.agents", "import scipy"),
        ("rllib_mmsa.method.agents", "from rllib_mmsa.engine import choose"),
        ("rllib_mmsa.method.agents", "from ..rllib.batch import Batch"),
        ("rllib_mmsa.method.agents", "from .. import rllib"),
        ("rllib_mmsa.method.agents", "import rllib_mmsa"),
        ("rllib_mmsa.method.__init__", "from ..rllib import batch"),
        ("rllib_mmsa.method.update", "def late():\n    import env_registry.contract"),
        ("rllib_mmsa.engine.choose", "from ray.rllib.core import Columns"),
        ("rllib_mmsa.engine.choose", "from rllib_mmsa.rllib.learner import QLearner"),
        ("rllib_mmsa.engine.native.bind", "from rllib_mmsa.errors import ConfigError"),
        ("rllib_mmsa.rllib.algorithm", "from rllib_mmsa.engine import choose"),
        ("rllib_mmsa.rllib.batch", "from env_registry.lbf import make"),
        ("rllib_mmsa.rllib.batch", "import env_registry"),
        ("rllib_mmsa.rllib.batch", "import rllib_mmsa.command.evaluate as evaluate"),
        ("rllib_mmsa.rllib.qmix", "from rllib_mmsa.command.experiment.files import load_file"),
        ("rllib_mmsa.rllib.qmix", "from env_registry import registry"),
        ("rllib_mmsa.command.experiment.files", "from rllib_mmsa.command.cli import app"),
        ("rllib_mmsa.command.run.progress", "from .. import cli"),
        ("rllib_mmsa.report.tune", "import ray"),
        ("rllib_mmsa.report.tune", "import env_registry"),
        ("rllib_mmsa.report.tune", "from rllib_mmsa.command import evaluate"),
        ("rllib_mmsa.errors", "from rllib_mmsa.command.experiment import checks"),
        ("rllib_mmsa.registration", "from rllib_mmsa.method import settings"),
        ("rllib_mmsa.serving.server", "from rllib_mmsa.errors import ConfigError"),
        ("rllib_mmsa.serving.client", "import onnxruntime"),
        ("rllib_mmsa.__init__", "from .command.cli import app"),
        ("rllib_mmsa.__main__", "from rllib_mmsa.command.evaluate import evaluate"),
        ("rllib_mmsa.elsewhere", "import math"),
        ("env_registry.lbf", "from rllib_mmsa.method.targets import td_targets"),
        ("env_registry.registry", "import importlib\nimportlib.import_module('rllib_mmsa.rllib')"),
    ],
)
def test_checker_sees_a_broken_rule(module, source):
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("rllib_mmsa.method.agents", "import torch\nimport numpy as np\nfrom torch import nn"),
        ("rllib_mmsa.method.agents", "from .sale import SALE\nfrom .. import method\nimport math"),
        ("rllib_mmsa.method.__init__", "from .agents import AgentNet"),
        ("rllib_mmsa.engine.choose", "from rllib_mmsa.engine import trust\nimport ctypes"),
        ("rllib_mmsa.engine.choose", "from rllib_mmsa.method.agents import AgentState"),
        ("rllib_mmsa.engine.choose", "import rayleigh"),
        ("rllib_mmsa.rllib.learner", "from rllib_mmsa.engine import choose"),
        ("rllib_mmsa.rllib.batch", "import ray\nfrom env_registry.contract import STATE"),
        ("rllib_mmsa.rllib.batch", "from env_registry import contract"),
        ("rllib_mmsa.rllib.mmsa", "from ..method.settings import MMSASettings"),
        ("rllib_mmsa.command.experiment.files", "import env_registry\nfrom . import checks"),
        ("rllib_mmsa.command.cli.train", "from rllib_mmsa.command.cli import report"),
        ("rllib_mmsa.report.tune", "from rllib_mmsa.errors import ConfigError\nimport yaml"),
        ("rllib_mmsa.__init__", "from env_registry import register"),
        ("env_registry.toy", "from .contract import STATE\nimport gymnasium as gym"),
    ],
)
def test_checker_allows_what_the_layers_allow(module, source):
    assert violations(source, module) == []
