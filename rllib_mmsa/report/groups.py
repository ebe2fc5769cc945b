"""Which runs are replicates of one another, what to call them, and how they differ.

Runs are replicates where they agree in task, algorithm, settings, game (`env_backend`) and version:
in all but the seed, the trial's name and the env steps at which they were to stop.
"""

from __future__ import annotations

import collections
import dataclasses
import operator
from collections.abc import Iterable, Sequence

import numpy as np

from rllib_mmsa.report import runs
from rllib_mmsa.report.names import game_name
from rllib_mmsa.report.runs import Array, Run
from rllib_mmsa.report.statistics import MIN_DRAWN, MIN_RUNS

NOT_RECORDED = "not recorded"
MAX_NAMED = 6  # groups in one sentence


@dataclasses.dataclass(frozen=True)
class Group:
    """Replicates: runs that may be averaged.

    Attributes:
        task: Environment and task, with the game that stood in for it (`Run.game`).
        algorithm: The algorithm's name.
        label: Its name on every page and figure: the algorithm and what sets it apart.
        runs: Its runs, by seed.
        identity: Option -> value, equal in all its runs; pooled options are left out.
    """

    task: str
    algorithm: str
    label: str
    runs: tuple[Run, ...]
    identity: dict[str, str]

    @property
    def measured(self) -> tuple[Run, ...]:
        """Its runs that have an evaluation."""
        return tuple(run for run in self.runs if run.env_steps.size)

    def finals(self, metric: str, step: float) -> Array:
        """(n,) the values at an env step of the runs that got there."""
        values = np.array([run.value_at(metric, step) for run in self.runs])
        return values[~np.isnan(values)]

    def areas(self, metric: str, step: float) -> Array:
        """(n,) mean heights of the curves up to an env step, of the runs that got there."""
        values = np.array([run.area(metric, step) for run in self.runs])
        return values[~np.isnan(values)]


def group(all_runs: Iterable[Run], pool: Sequence[str] = ()) -> list[Group]:
    """Put replicates together and name the groups.

    Args:
        all_runs: The runs.
        pool: Options in which replicates may differ all the same, because the user says so.

    Returns:
        The groups by task, algorithm and label.
    """
    all_runs = list(all_runs)
    buckets: dict[tuple, list[Run]] = {}
    # Runs that have begun come first: those that have not lack the defaults, and join them.
    for run in sorted(
        all_runs, key=lambda run: (not run.env_steps.size, natural(run.seed), run.trial)
    ):
        identity = {k: v for k, v in run.identity.items() if k not in pool}
        key = (
            _game(run, all_runs, pool),
            run.algorithm,
            run.configuration,
            tuple(sorted(identity.items())),
        )
        if key not in buckets and not run.env_steps.size:
            fits = (k for k, of in buckets.items() if _may_join(run, identity, k, of[0]))
            key = next(fits, key)
        buckets.setdefault(key, []).append(run)
    bare = [
        Group(task, algorithm, configuration, tuple(members), dict(identity))
        for (task, algorithm, configuration, identity), members in buckets.items()
    ]
    return sorted(_named(bare), key=lambda g: (g.task, g.algorithm, natural(g.label)))


def _game(run: Run, all_runs: Sequence[Run], pool: Sequence[str]) -> str:
    """What a run's group plays; every game of its task where the user averages over games."""
    if runs.BACKEND not in pool:
        return run.game
    played = {other.env_backend for other in all_runs if other.task == run.task} - {""}
    return game_name(run.task, " and ".join(sorted(played)))


def _may_join(run: Run, identity: dict[str, str], key: tuple, member: Run) -> bool:
    """Whether all that is recorded of a run without results agrees with a group's key.

    Which game it would have played is not: the task's name alone is compared.
    """
    _, algorithm, configuration, items = key
    if (run.task, run.algorithm, run.configuration) != (member.task, algorithm, configuration):
        return False
    known = dict(items)
    return all(known.get(k, v) == v for k, v in identity.items() if v)


def natural(text: str) -> list[tuple[int, float, str]]:
    """A sort key that puts 2 before 10, in labels, values and seeds."""
    words = text.replace("=", " ").replace(",", " ").split()
    return [(0, float(w), "") if _is_number(w) else (1, 0.0, w) for w in words]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _named(groups: list[Group]) -> list[Group]:
    """Label every group by its algorithm, its configuration and what else sets it apart."""
    named: list[Group] = []
    for algorithm, configuration in sorted({(g.algorithm, g.label) for g in groups}):
        mine = [g for g in groups if (g.algorithm, g.label) == (algorithm, configuration)]
        keys = varied(mine)
        usual = _usual(mine, keys)
        taken: collections.Counter[tuple[str, str]] = collections.Counter()
        for g in mine:
            parts = [
                f"{key.removeprefix('env_config/')}={g.identity.get(key) or NOT_RECORDED}"
                for key in keys
                if g.identity.get(key, "") != usual[key]
            ]
            name = " ".join(part for part in (algorithm, configuration, ", ".join(parts)) if part)
            taken[g.task, name] += 1
            again = taken[g.task, name]
            named.append(dataclasses.replace(g, label=f"{name} ({again})" if again > 1 else name))
    return named


def _usual(groups: Sequence[Group], keys: Sequence[str]) -> dict[str, str | None]:
    """The values that need no mention in a label; None where each does.

    Where one setting was changed at a time, the values of the group that was changed; otherwise,
    for each key, the value of more than half.
    """
    rows = sorted({tuple(g.identity.get(key, "") for key in keys) for g in groups})
    for base in rows:
        changes = [sum(map(operator.ne, base, row)) for row in rows if row != base]
        if len(keys) > 1 and all(change == 1 for change in changes):
            return dict(zip(keys, base, strict=True))
    common = [collections.Counter(column).most_common(1)[0] for column in zip(*rows, strict=True)]
    return {
        key: value if 2 * count > len(rows) else None
        for key, (value, count) in zip(keys, common, strict=True)
    }


def varied(groups: Sequence[Group]) -> list[str]:
    """The options that take two or more recorded values within one task, sorted."""
    keys: set[str] = set()
    for task in {g.task for g in groups}:
        mine = [g for g in groups if g.task == task]
        for key in {key for g in mine for key in g.identity}:
            if len({g.identity[key] for g in mine if g.identity.get(key)}) > 1:
                keys.add(key)
    return sorted(keys)


def differences(groups: Sequence[Group]) -> dict[str, dict[str, list[str]]]:
    """How the groups differ.

    Args:
        groups: All groups of a report.

    Returns:
        Option -> value -> the groups ("label on task") that have it, for each option with two or
        more recorded values. Groups that do not record one that others of their algorithm do
        stand under `NOT_RECORDED`; options that an algorithm does not have are left out there.
    """
    unlike: dict[str, dict[str, list[str]]] = {}
    names = sorted({key for g in groups for key in g.identity})
    for key in sorted(names, key=lambda key: (key not in (runs.BACKEND, runs.VERSION), key)):
        values: dict[str, list[str]] = {}
        owners = {g.algorithm for g in groups if g.identity.get(key)}
        for g in groups:
            if g.algorithm in owners:
                value = g.identity.get(key) or NOT_RECORDED
                values.setdefault(value, []).append(f"{g.label} on {g.task}")
        if len(values.keys() - {NOT_RECORDED}) > 1:
            unlike[key] = dict(sorted(values.items(), key=lambda item: natural(item[0])))
    return unlike


def unrecorded(groups: Sequence[Group]) -> list[str]:
    """Options that some groups of an algorithm record and others of it do not."""
    options: set[str] = set()
    for algorithm in {g.algorithm for g in groups}:
        mine = [g.identity for g in groups if g.algorithm == algorithm and g.measured]
        for key in {key for identity in mine for key in identity}:
            if any(key not in identity for identity in mine):
                options.add(key)
    return sorted(options)


def remarks(groups: Sequence[Group]) -> list[str]:
    """What a reader must know of runs that are missing, double, broken off or not comparable."""
    sentences = [f"{lack}." for g in groups for run in g.runs for lack in run.lacks]
    for g in groups:
        where = f"{g.label} on {g.task}"
        for run in g.runs:
            if run.status != runs.FINISHED:
                planned = f" of {run.planned_steps:,.0f}" if run.planned_steps > 0 else ""
                at = f" after {run.last_step:,.0f}{planned} env steps"
                at = at if run.env_steps.size else " without an evaluation"
                at = "" if run.status == runs.PENDING else at
                trial = f" ({run.trial})" if run.trial else ""
                sentences.append(f"{where}, seed {run.seed or 'none'}: {run.status}{at}{trial}.")
        count = collections.Counter(run.seed for run in g.runs)
        for seed, times in count.items():
            if times > 1:
                sentences.append(
                    f"{where}: seed {seed or 'none'} was run {times} times; each counts."
                )
        others = {
            run.seed for o in groups if o.task == g.task or o.label == g.label for run in o.runs
        }
        missing = sorted(others - set(count), key=natural)
        if missing:
            sentences.append(
                f"{where}: no run with seed {', '.join(s or 'none' for s in missing)}."
            )
    return list(dict.fromkeys([*sentences, *_few(groups)]))


def _few(groups: Sequence[Group]) -> list[str]:
    """What cannot be said of groups because they are small or young."""
    measured = [g for g in groups if g.measured]
    few, fewer = (
        [f"{g.label} on {g.task}" for g in measured if len(g.measured) < enough]
        for enough in (MIN_RUNS, MIN_DRAWN)
    )
    single = [
        f"{g.label} on {g.task}"
        for g in measured
        if all(run.env_steps.size == 1 for run in g.measured)
    ]
    sentences = []
    if few:
        sentences.append(f"Fewer than {MIN_RUNS} runs, so no interval of the mean: {_list(few)}.")
    if fewer:
        sentences.append(
            f"Fewer than {MIN_DRAWN} runs, so no interval of the IQM and of P(X > Y): "
            f"{_list(fewer)}."
        )
    if single:
        sentences.append(
            f"One evaluation a run, so no curve and no mean over training: {_list(single)}."
        )
    return sentences


def _list(names: Sequence[str]) -> str:
    """Names in a sentence; of many, the first ones."""
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
