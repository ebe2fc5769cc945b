"""Design studies: groups that differ in one setting alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rllib_mmsa.report import runs
from rllib_mmsa.report.groups import NOT_RECORDED, Group, natural, varied
from rllib_mmsa.report.study import Study


class Panel(NamedTuple):
    """A design study: one setting varied, all others equal.

    Attributes:
        task: The task.
        algorithm: The algorithm.
        key: The setting.
        fixed: What the other varied settings are, as text.
        groups: Value of the setting -> its group, sorted by value.
    """

    task: str
    algorithm: str
    key: str
    fixed: str
    groups: dict[str, Group]


def panels(study: Study) -> list[Panel]:
    """Every setting that takes two or more values in groups that agree in all else."""
    every = []
    for task in study.tasks:
        for algorithm in dict.fromkeys(g.algorithm for g in study.on(task)):
            mine = [g for g in study.on(task) if g.algorithm == algorithm and g.measured]
            keys = varied(mine)
            for key in keys:
                if key not in (runs.BACKEND, runs.VERSION):
                    every += _panels(mine, key, [other for other in keys if other != key])
    return every


def _panels(groups: Sequence[Group], key: str, others: Sequence[str]) -> list[Panel]:
    """One panel for each combination of the other settings at which this one takes two values."""
    equal: dict[tuple[str, ...], dict[str, Group]] = {}
    for g in groups:
        rest = tuple(g.identity.get(other, NOT_RECORDED) for other in others)
        equal.setdefault(rest, {})[g.identity.get(key, NOT_RECORDED)] = g
    compared = []
    for rest, values in equal.items():
        if len(values) > 1:
            fixed = ", ".join(f"{k}={v}" for k, v in zip(others, rest, strict=True))
            ordered = {value: values[value] for value in sorted(values, key=natural)}
            compared.append(Panel(groups[0].task, groups[0].algorithm, key, fixed, ordered))
    return compared
