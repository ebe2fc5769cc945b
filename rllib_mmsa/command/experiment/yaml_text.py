"""YAML as experiment files are written in: numbers are numbers, a key stands once.

Text is composed into YAML's nodes first. There, what no configuration is (nesting without end, a
list that holds itself, aliases that multiply) is seen before it is built.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from rllib_mmsa.errors import ConfigError

MAX_DEPTH = 40  # levels of nesting
MAX_NODES = 100_000  # keys and values, each alias counted as what it stands for
MAX_DIGITS = 18  # of a whole number: what fits into 64 bits

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels; no configuration is."
_INT = "tag:yaml.org,2002:int"
_MERGE = "tag:yaml.org,2002:merge"
#: What a configuration is made of; dates, bytes and sets are not among it.
_TAGS = {
    f"tag:yaml.org,2002:{kind}"
    for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge")
}


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 5e-4 as a number and refuses a key that is written twice."""

    _depth = 0  # of the node that is being composed, which PyYAML does by recursion

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConfigError(f"line {self.peek_event().start_mark.line + 1}: {_TOO_DEEP}")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE or not isinstance(key_node, yaml.ScalarNode):
                continue  # `<<: *base`; a list as a key is refused by the parent
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise ConfigError(
                    f"{_line(key_node)}: the key '{key_node.value}' appears twice; keep one."
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 wants a dot in floats, so PyYAML reads 5e-4 as text, silently.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
# A date is text: no setting is a date, and a task may look like one. So is `=`.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag in _TAGS]
    for first, found in _Loader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML (JSON is a part of it).

    Args:
        text: One document.
        where: What the text is, for the message.

    Returns:
        Mappings, lists, text, numbers, booleans, None.

    Raises:
        ConfigError: If it is not YAML or no configuration; the text names the line.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node)
        return loader.construct_document(node)
    except ConfigError as err:
        raise ConfigError(f"{where}: {err}") from None
    except yaml.YAMLError as err:
        raise ConfigError(f"{where} is not valid YAML{_problem(err)}") from None
    except (ValueError, KeyError) as err:  # `!!int x`, `!!bool x`
        raise ConfigError(f"{where} has a value that is not what its tag says: {err}.") from None


def _problem(err: yaml.YAMLError) -> str:
    """Where an error of syntax is, what it is, and what helps."""
    mark = getattr(err, "problem_mark", None)
    line = f" in line {mark.line + 1}" if mark else ""
    if isinstance(err, yaml.reader.ReaderError):
        return f": character {err.position + 1} (U+{err.character:04X}) cannot stand in it."
    problem = getattr(err, "problem", None) or "unreadable text"
    if problem == "but found another document":
        problem = "a second document begins ('---'); write all experiments in one"
    elif "'\\t'" in problem:
        problem += "; indent with spaces, not with tabs"
    elif problem == "found unhashable key":
        problem = "a list or a mapping stands as a key; a key is text"
    return f"{line}: {problem}."


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _check_nodes(root: yaml.Node) -> None:
    """Refuse what no configuration is, without following an alias more than once."""
    measured: dict[int, tuple[int, int]] = {}  # of a node: values in it, levels below it
    open_nodes: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) in measured:
            return measured[id(node)]
        if id(node) in open_nodes:
            raise ConfigError(f"{_line(node)}: the value refers to itself; write it out.")
        _check_kind(node)
        open_nodes.add(id(node))
        inside = [measure(child) for child in _children(node)]
        open_nodes.discard(id(node))
        size = 1 + sum(size for size, _ in inside)
        depth = 1 + max((depth for _, depth in inside), default=0)
        if depth > MAX_DEPTH:
            raise ConfigError(f"{_line(node)}: {_TOO_DEEP}")
        if size > MAX_NODES:
            raise ConfigError(
                f"{_line(node)}: holds more than {MAX_NODES:,} values, aliases (*name) included; "
                "no configuration does."
            )
        measured[id(node)] = size, depth
        return size, depth

    measure(root)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _check_kind(node: yaml.Node) -> None:
    """Refuse kinds of values that no setting has, and numbers beyond 64 bits."""
    if node.tag not in _TAGS:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        raise ConfigError(f"{_line(node)}: the tag '{tag}' has no meaning here; leave it out.")
    if node.tag == _INT and len(node.value.lstrip("+-")) > MAX_DIGITS:
        raise ConfigError(
            f"{_line(node)}: {node.value[:12]}... has {len(node.value):,} digits; a whole number "
            f"has at most {MAX_DIGITS} here."
        )
