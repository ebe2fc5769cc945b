"""The errors of environments, apart from the contract: options are checked without RLlib."""

from __future__ import annotations


class EnvConfigError(ValueError):
    """An environment's name or configuration that cannot work; the message says what would."""


class TaskError(ValueError):
    """A task that does not exist or cannot be played here; the message says which can."""


class ContractError(ValueError):
    """An environment breaks the contract; the message holds the value, the rule, the remedy."""


class EnvFailure(RuntimeError):
    """The game behind an environment failed: it died, hung or did not begin. One line says how.

    It is no mistake of the user, and a new game may go well: the sampling drops the episode and
    makes the environment anew, whatever RLlib's `restart_failed_sub_environments` says.
    """


def broken(value: str, rule: str, remedy: str) -> ContractError:
    """Words a breach of the contract, the same way everywhere.

    Args:
        value: What the environment has or does.
        rule: What the contract asks for.
        remedy: What to change.

    Returns:
        The exception, for the caller to raise. (A function, not a constructor: an exception whose
        constructor takes other arguments than its message cannot be pickled, and Ray pickles
        exceptions to bring them from a remote worker to the driver.)
    """
    return ContractError(f"{value}\n  rule:   {rule}\n  remedy: {remedy}")
