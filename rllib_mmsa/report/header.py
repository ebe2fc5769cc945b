"""The head of the page: what was read, when and by what the page was made, what all runs share."""

from __future__ import annotations

import collections
import datetime
import html
import os
from importlib import metadata

from rllib_mmsa.report.contents import scale
from rllib_mmsa.report.runs import FINISHED, VERSION
from rllib_mmsa.report.study import MEAN, Study
from rllib_mmsa.report.tables import digits

EVALUATION_EPSILON = "evaluation_epsilon"
EPOCH = (
    "SOURCE_DATE_EPOCH"  # reproducible-builds.org: the date of what has to be the same each time
)


def render(study: Study) -> str:
    """The head as HTML: a sentence, a list of facts, and the settings to be unfolded."""
    every = [run for g in study.every for run in g.runs]
    finished = sum(run.status == FINISHED for run in every)
    at = "; ".join(f"{study.steps[task]:,.0f} on {task}" for task in study.tasks)
    facts = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>\n"
        for name, text in _facts(study).items()
        if text
    )
    return (
        f"<p>{_many(len(every), 'run')}, {finished} of them finished, in "
        f"{_many(len(study.every), 'group')}. Compared at these env steps: {html.escape(at)}. "
        f"{html.escape(_tests(study))}</p>\n<dl>\n{facts}</dl>\n{_shared(study)}"
    )


def _tests(study: Study) -> str:
    """How the agents acted in tests: greedily, or with a share of random actions."""
    shares: dict[str, list[str]] = {}
    for group in study.every:
        for share in {run.settings.get(EVALUATION_EPSILON, "0") for run in group.runs}:
            shares.setdefault(share, []).append(f"{group.label} on {group.task}")
    random = {share: groups for share, groups in shares.items() if float(share)}
    if not random:
        return "Test returns are those of greedy episodes."
    if len(shares) == 1:
        return f"Test returns are those of episodes with a share of {min(shares)} random actions."
    those = "; ".join(f"{share} in {', '.join(groups)}" for share, groups in random.items())
    return (
        "Test returns are those of greedy episodes, but with a share of random actions of "
        f"{those}: these do not compare."
    )


def _many(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"


def _facts(study: Study) -> dict[str, str]:
    """What the page was made of, and how: name -> text, "" where there is nothing to say."""
    versions = collections.Counter(
        run.version or "an unknown version" for g in study.every for run in g.runs
    )
    options = study.options
    statistic = "mean with 95 % interval" if options.statistic == MEAN else "median with quartiles"
    target = "" if options.target_return is None else digits(options.target_return)
    return {
        "Made": f"{_now():%Y-%m-%d %H:%M} UTC by MMSA for RLlib {_own_version()}",
        "Runs of": ", ".join(f"{version} ({_many(n, 'run')})" for version, n in versions.items()),
        "Statistic": statistic,
        "Scale": scale(study),
        "Compared at": "" if options.at is None else f"{options.at:,.0f} env steps, as asked for",
        "Target return": target,
        "Averaged over": ", ".join(options.pool),
    }


def _now() -> datetime.datetime:
    """The time of making, or what `SOURCE_DATE_EPOCH` says (seconds)."""
    fixed = os.environ.get(EPOCH, "")
    seconds = float(fixed) if fixed.isdecimal() else None
    if seconds is None:
        return datetime.datetime.now(datetime.timezone.utc)
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def _own_version() -> str:
    """This package's version; "" where it is not installed."""
    try:
        return metadata.version("rllib-mmsa")
    except metadata.PackageNotFoundError:
        return ""


def _shared(study: Study) -> str:
    """The settings that were set and are the same in all runs, folded; "" where there are none."""
    runs = [run for g in study.every for run in g.runs if run.settings]
    names = sorted({key for run in runs for key in run.explicit} - {VERSION})
    equal = [key for key in names if len({run.settings.get(key) for run in runs}) == 1]
    values = {key: runs[0].settings.get(key, "") for key in equal}
    rows = "".join(
        f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>\n"
        for key, value in values.items()
        if value
    )
    if not rows:
        return ""
    many = _many(sum(map(bool, values.values())), "setting")
    return (
        f"<details><summary>{many} that every run was given</summary>\n<dl>\n{rows}</dl>\n"
        "</details>\n"
    )
