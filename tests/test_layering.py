"""Who may import whom: nets, td <- common <- algorithms <- experiments <- cli.

The environments stand apart: `env_registry` knows no algorithm, and the algorithms know of it only
the contract. docs/architecture.md shows the same as a picture.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ("rllib_mmsa", "env_registry")

MATHS = ("rllib_mmsa.nets", "rllib_mmsa.td")
COMMON = (*MATHS, "rllib_mmsa.common", "env_registry.contract")
ALGORITHMS = (*COMMON, "rllib_mmsa.rllib")


class Rule(NamedTuple):
    """What the modules of one layer may import.

    Args:
        allowed: prefixes of the project's own modules.
        forbidden: prefixes of what it must not import all the same, of any package.
    """

    allowed: tuple[str, ...]
    forbidden: tuple[str, ...] = ()


# The longest matching prefix decides.
RULES = {
    "rllib_mmsa.nets": Rule(MATHS, forbidden=("ray",)),
    "rllib_mmsa.td": Rule(MATHS, forbidden=("ray",)),
    "rllib_mmsa.common": Rule(COMMON),
    "rllib_mmsa.rllib": Rule(ALGORITHMS),
    "rllib_mmsa.__init__": Rule((*ALGORITHMS, "env_registry", "rllib_mmsa.registration")),
    "rllib_mmsa.registration": Rule(ALGORITHMS),
    # Reads what runs wrote, on a machine that need not be able to run anything.
    "rllib_mmsa.report": Rule(
        ("rllib_mmsa.report", "rllib_mmsa.command.experiment.checks"),
        forbidden=("ray", "torch", "env_registry"),
    ),
    # experiments.py and the files beside it: all but the command line.
    "rllib_mmsa": Rule(PROJECT, forbidden=("rllib_mmsa.command.cli",)),
    "rllib_mmsa.command.cli": Rule(PROJECT),
    "rllib_mmsa.__main__": Rule(PROJECT),
    "env_registry": Rule(("env_registry",)),
}


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def module_of(file: str) -> str:
    """`rllib_mmsa/nets/__init__.py` -> `rllib_mmsa.nets.__init__`."""
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
    rule = RULES[max((prefix for prefix in RULES if within(module, prefix)), key=len)]
    found = []
    for line, name in imports(source, module):
        ours = name.split(".")[0] in PROJECT
        if ours and not any(within(name, prefix) for prefix in rule.allowed):
            found.append(f"{module}:{line} imports {name}; allowed: {', '.join(rule.allowed)}")
        if any(within(name, prefix) for prefix in rule.forbidden):
            found.append(f"{module}:{line} imports {name}; forbidden in this layer")
    return found


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


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("rllib_mmsa.nets.agents", "import ray"),
        ("rllib_mmsa.nets.agents", "from ray.rllib.core import Columns"),
        ("rllib_mmsa.nets.agents", "from rllib_mmsa.common import batch"),
        ("rllib_mmsa.nets.agents", "from ..common.batch import Batch"),
        ("rllib_mmsa.nets.agents", "from .. import common"),
        ("rllib_mmsa.nets.agents", "import rllib_mmsa"),
        ("rllib_mmsa.nets.__init__", "from ..common import batch"),
        ("rllib_mmsa.td", "from rllib_mmsa import MMSA"),
        ("rllib_mmsa.td", "def late():\n    import env_registry.contract"),
        ("rllib_mmsa.rllib.batch", "from env_registry.lbf import make"),
        ("rllib_mmsa.rllib.batch", "import env_registry"),
        ("rllib_mmsa.rllib.batch", "from rllib_mmsa.rllib.qmix import QMIX"),
        ("rllib_mmsa.rllib.batch", "import rllib_mmsa.command.experiment.experiments as experiments"),
        ("rllib_mmsa.rllib.qmix", "from rllib_mmsa.command.experiment.experiments import load"),
        ("rllib_mmsa.rllib.qmix", "from env_registry import registry"),
        ("rllib_mmsa.command.experiment.experiments", "from rllib_mmsa.command.cli import app"),
        ("rllib_mmsa.report.tune", "import ray"),
        ("rllib_mmsa.report.tune", "from rllib_mmsa import evaluate"),
        ("rllib_mmsa.command.run.progress", "from . import cli"),
        ("rllib_mmsa.__init__", "from .cli import app"),
        ("env_registry.lbf", "from rllib_mmsa.td import td_target"),
        ("env_registry.registry", "import importlib\nimportlib.import_module('rllib_mmsa.td')"),
    ],
)
def test_checker_sees_a_broken_rule(module, source):
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("rllib_mmsa.nets.agents", "import torch\nfrom torch import nn\nfrom rllib_mmsa import td"),
        ("rllib_mmsa.nets.agents", "from .sale import SALE\nfrom .. import td"),
        ("rllib_mmsa.nets.agents", "import rayleigh"),
        ("rllib_mmsa.nets.__init__", "from .agents import AgentNet"),
        ("rllib_mmsa.rllib.batch", "import ray\nfrom env_registry.contract import STATE"),
        ("rllib_mmsa.rllib.batch", "from env_registry import contract"),
        ("rllib_mmsa.rllib.mmsa", "from ..common.q_learning import QLearning"),
        ("rllib_mmsa.rllib.mmsa", "from env_registry.contract import STATE"),
        ("rllib_mmsa.command.experiment.experiments", "import env_registry\nfrom .algorithms import ALGORITHMS"),
        ("rllib_mmsa.command.cli", "from rllib_mmsa import experiments, report"),
        ("rllib_mmsa.__init__", "from env_registry import register"),
        ("env_registry.toy", "from .contract import STATE\nimport gymnasium as gym"),
    ],
)
def test_checker_allows_what_the_layers_allow(module, source):
    assert violations(source, module) == []
