"""YAML as experiment files are written in: numbers are numbers, a key stands once."""

from __future__ import annotations

import re
from typing import Any

import yaml

from rllib_mmsa.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 5e-4 as a number and refuses a key that is written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # `<<: *base`
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                line = key_node.start_mark.line + 1
                raise ConfigError(f"line {line}: the key '{key}' appears twice; keep one.")
            seen.add(key if isinstance(key, str) else id(key_node))
        return super().construct_mapping(node, deep)


# YAML 1.1 wants a dot in floats, so PyYAML reads 5e-4 as text, silently.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML (JSON is a part of it), naming the line of a syntax error."""
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except ConfigError as err:
        raise ConfigError(f"{where}: {err}") from None
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(err, "problem", None) or "unreadable text"
        raise ConfigError(f"{where} is not valid YAML{line}: {problem}.") from None
