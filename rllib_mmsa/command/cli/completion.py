"""What a shell completes: names of algorithms, environments, examples and pages."""

from __future__ import annotations

import typer


def algorithms(incomplete: str) -> list[str]:
    """For `--algo`."""
    from rllib_mmsa.registration import ALGORITHM_NAMES

    return _of(list(ALGORITHM_NAMES), incomplete)


def envs(incomplete: str) -> list[str]:
    """For `--env` and `rllib envs check`."""
    from env_registry import ENVIRONMENTS

    return _of(list(ENVIRONMENTS), incomplete)


def examples(incomplete: str) -> list[str]:
    """For `rllib examples`."""
    from rllib_mmsa.command import examples as tuned

    return _of(tuned.names(), incomplete)


def trained(ctx: typer.Context, incomplete: str) -> list[str]:
    """For `rllib train example`; the shell itself knows the files of `rllib train file`."""
    return examples(incomplete) if ctx.info_name == "example" else []


def pages(incomplete: str) -> list[str]:
    """For `rllib docs`."""
    from rllib_mmsa.command import pages as installed

    return _of(installed.names(), incomplete)


def _of(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
