"""An environment that breaks the contract is a mistake, told in the contract's own words."""

from __future__ import annotations

import re

_RAISED = re.compile(
    r"^\s*env_registry\.errors\.(?:ContractError|EnvConfigError|TaskError): ", re.M
)
_FURTHER = ("  rule:", "  remedy:", "  grammar:", "  nearest:", "  all:")


def words(error: object) -> str:
    """What the environment's check said, out of a trial's error.

    Args:
        error: Of a trial: text that ends with Python's traceback.

    Returns:
        The message with its rule and remedy, without the way there; "" for any other error.
    """
    *_, last = [None, *_RAISED.finditer(str(error))]
    if last is None:
        return ""
    first, *rest = str(error)[last.end() :].splitlines()
    told = [first]
    for line in rest:
        if not line.startswith(_FURTHER):
            break
        told.append(line)
    # Whatever was raised on the way from there is another error.
    return "\n".join(told) if not any(line.strip() for line in rest[len(told) - 1 :]) else ""
