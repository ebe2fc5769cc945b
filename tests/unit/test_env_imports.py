"""The modules of env_registry import each other in one direction: there is no circle."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator

import pytest

from env_registry import ENVIRONMENTS
from tests.test_layering import ROOT, imports, module_of

PACKAGE = "env_registry"
Graph = dict[str, set[str]]  # module -> the modules that it imports


def import_graph() -> Graph:
    """Who imports whom in env_registry, inside functions too.

    The registry imports what the rows name. A package stands for its `__init__`.
    """
    paths = [path.relative_to(ROOT).as_posix() for path in (ROOT / PACKAGE).rglob("*.py")]
    files = {module_of(path).removesuffix(".__init__"): path for path in paths}
    graph: Graph = {}
    for module, path in files.items():
        source = (ROOT / path).read_text(encoding="utf-8")
        names = (name for _, name in imports(source, module_of(path)))
        graph[module] = {module_in(name, files) for name in names} - {""}
    graph[f"{PACKAGE}.registry"] |= set(named_by_rows())
    return graph


def module_in(name: str, modules: dict[str, str]) -> str:
    """The module that a full name is, or is defined in; "" = of another package."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def named_by_rows() -> Iterator[str]:
    for row in ENVIRONMENTS.values():
        for value in vars(row).values():
            if isinstance(value, str) and value.startswith(f"{PACKAGE}."):
                yield value.partition(":")[0]


def circle(graph: Graph) -> list[str]:
    """The modules of one circle, the first once more at the end; [] = there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    modules = circle(import_graph())
    assert not modules, " imports ".join(modules)


def test_the_graph_holds_every_kind_of_import() -> None:
    """Without this, a graph that misses imports would pass the test above."""
    graph = import_graph()
    assert "env_registry.errors" in graph["env_registry.contract.checks"]
    assert "env_registry.contract.checks" in graph["env_registry.contract"]  # by an __init__
    assert "env_registry.contract" in graph["env_registry.diagnose"]  # inside a function
    assert "env_registry.starcraft2.backend" in graph["env_registry.starcraft2.make"]  # a module
    assert "env_registry.mamujoco" in graph["env_registry.registry"]  # named by a row


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, set()),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}}, {"a", "b", "c"}),
        ({"a": {"a"}}, {"a"}),
    ],
)
def test_a_circle_is_seen(graph: Graph, expected: set[str]) -> None:
    assert set(circle(graph)) == expected


@pytest.mark.parametrize("module", ["contract.base", "errors"])
def test_the_lowest_modules_import_nothing_of_the_package(module: str) -> None:
    assert import_graph()[f"{PACKAGE}.{module}"] == set()
