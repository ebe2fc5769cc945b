"""The statistics of few runs: pure functions of arrays, without a plot or a file.

Definitions are those of Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the
Statistical Precipice", and agree with its library rliable. Everything drawn at random comes from
one fixed seed, so that the same runs give the same digits.

Shape legend: n = runs of one task, B = bootstrap resamples, C = columns, K = thresholds.
"scores" is a sequence over tasks of (n,) arrays; n may differ between tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from rllib_mmsa.report.runs import Array

SEED = 20210830
RESAMPLES = 10_000
CONFIDENCE = 0.95
MIN_RUNS = 3  # of an interval by Student's t: that of two is 12.7 standard errors to either side
#: Of a bootstrap interval, in every task: a "95 %" one of two runs holds the truth in about 55 % of
#: cases, of three in 72 %, of five in 90 %.
MIN_DRAWN = 5
FROM = f"where each task has {MIN_DRAWN} runs or more"
TRIM = 0.25  # cut from either end: the mean of the middle half

Scores = Sequence[Array]


def iqm(scores: Scores) -> float:
    """Interquartile mean: the 25 % trimmed mean over all runs of all tasks.

    Args:
        scores: Per task (n,).

    Returns:
        The mean of the middle half, which is the plain mean of three runs or fewer; NaN without a
        run.
    """
    pooled = np.concatenate(list(scores))
    return float(stats.trim_mean(pooled, TRIM)) if pooled.size else math.nan


def iqm_interval(scores: Scores) -> tuple[float, float]:
    """Stratified bootstrap 95 % interval of the interquartile mean.

    Runs are drawn with replacement within each task; percentiles of the resampled means.

    Args:
        scores: Per task (n,).

    Returns:
        Lower and upper end; NaN where a task has fewer than `MIN_DRAWN` runs.
    """
    if _too_few(scores):
        return math.nan, math.nan
    rng = np.random.default_rng(SEED)
    drawn = [task[rng.integers(task.size, size=(RESAMPLES, task.size))] for task in scores]
    resampled = stats.trim_mean(np.concatenate(drawn, axis=1), TRIM, axis=1)  # (B,)
    return _percentiles(resampled)


def _too_few(scores: Scores) -> bool:
    """Whether a task has fewer runs than a bootstrap needs."""
    return any(task.size < MIN_DRAWN for task in scores)


def _percentiles(resampled: Array) -> tuple[float, float]:
    """The middle 95 % of resampled values (B,)."""
    low, high = np.percentile(resampled, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return float(low), float(high)


def _weights(rng: np.random.Generator, n: int) -> Array:
    """(B, n) how often each of n runs is in a resample, as a part of n."""
    return rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n


def improvement(x: Scores, y: Scores) -> float:
    """Probability of improvement: a run of X beats one of Y on the same task.

    The mean over tasks of P(X > Y) + 0.5 P(X = Y), which is the Mann-Whitney U statistic divided
    by the number of pairs.

    Args:
        x: Per task (n,), the first algorithm.
        y: Per task (m,), the second, on the same tasks.

    Returns:
        Between 0 and 1; 0.5 where neither is better.
    """
    return float(np.mean([_wins(a, b).mean() for a, b in zip(x, y, strict=True)]))


def _wins(a: Array, b: Array) -> Array:
    """(n, m) 1 where a run of the first beats one of the second, 0.5 where they are equal."""
    return (a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])


def improvement_interval(x: Scores, y: Scores) -> tuple[float, float]:
    """Stratified bootstrap 95 % interval of `improvement`; both sides are resampled.

    NaN where a task has fewer than `MIN_DRAWN` runs on either side.
    """
    if _too_few((*x, *y)):
        return math.nan, math.nan
    rng = np.random.default_rng(SEED)
    total = np.zeros(RESAMPLES)
    for a, b in zip(x, y, strict=True):
        first, second = _weights(rng, a.size), _weights(rng, b.size)
        total += ((first @ _wins(a, b)) * second).sum(axis=1)  # (B,)
    return _percentiles(total / len(x))


def profile(scores: Scores, thresholds: Array) -> tuple[Array, Array, Array]:
    """Performance profile: the part of all runs whose score is above each threshold.

    Args:
        scores: Per task (n,).
        thresholds: (K,).

    Returns:
        (K,) the profile, and the lower and upper ends of its pointwise 95 % intervals (stratified
        bootstrap), NaN where a task has fewer than `MIN_DRAWN` runs. With tasks of unlike numbers
        of runs each run weighs the same.
    """
    above = [(task[:, None] > thresholds).astype(np.float64) for task in scores]
    part = np.concatenate(above).mean(axis=0)
    if _too_few(scores):
        return part, *np.full((2, thresholds.size), np.nan)
    rng = np.random.default_rng(SEED)
    sizes = np.array([task.size for task in scores])
    share = sizes / sizes.sum()
    resampled = np.zeros((RESAMPLES, thresholds.size))
    for weight, rows in zip(share, above, strict=True):
        resampled += weight * (_weights(rng, len(rows)) @ rows)
    low, high = np.percentile(resampled, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)], axis=0)
    return part, low, high


def mean_interval(values: Array) -> tuple[Array, Array, Array]:
    """Mean over runs with its 95 % interval by Student's t.

    With few runs a bootstrap of the mean is too narrow; Student's t is right for scores that are
    about normal, and wide for three. That of two runs mostly lies where no return can be, and says
    nothing.

    Args:
        values: (n, C); NaN where a run has no value. A column counts the runs that have one.

    Returns:
        (C,) mean, lower end, upper end; the ends are NaN where fewer than `MIN_RUNS` runs have a
        value, the mean where none has.
    """
    count = np.sum(~np.isnan(values), axis=0)  # (C,)
    total = np.nansum(values, axis=0)
    mean = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    square = np.nansum((values - mean) ** 2, axis=0)
    enough = count >= MIN_RUNS
    variance = np.divide(square, count - 1, out=np.full(count.shape, np.nan), where=enough)
    quantile = stats.t.ppf(0.5 + CONFIDENCE / 2, np.maximum(count - 1, 1))
    half = quantile * np.sqrt(variance / np.maximum(count, 1))
    return mean, mean - half, mean + half


def win_interval(rates: Array, episodes: Array) -> tuple[Array, Array, Array]:
    """Mean win rate over runs with its 95 % interval by Wilson, inside [0, 1].

    Wilson's interval of a proportion, at the number of independent episodes that the runs are
    worth: all of them where runs differ no more than chance has it, fewer where they differ more,
    and fewer again by Student's t, since few runs tell little of how much they differ (the modified
    Wilson interval of Franco et al., 2019, with runs as clusters). Of runs that are alike and many
    it is Wilson's of all their episodes.

    Args:
        rates: (n, C) the part of its episodes that each run won; NaN where it has no value.
        episodes: (n,) how many episodes that is a part of; 0 where not known, then they count as
            many.

    Returns:
        (C,) mean, lower end, upper end; the ends are NaN where fewer than two runs have a value,
        and where runs without a known number of episodes do not differ.
    """
    there = ~np.isnan(rates)
    count = there.sum(axis=0)  # (C,)
    known = np.where(episodes > 0, episodes, np.inf)
    total = np.where(there, known[:, None], 0.0).sum(axis=0)
    total[np.where(there, known[:, None], 0.0).max(axis=0) == np.inf] = np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.nansum(rates, axis=0) / count
        between = np.nansum((rates - mean) ** 2, axis=0) / (count - 1) / count
        worth = np.where(between > 0, mean * (1 - mean) / between, np.inf)
        z, t = stats.norm.ppf(0.5 + CONFIDENCE / 2), stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)
        n = np.minimum(worth, total) * (z / t) ** 2
        middle = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    none = (count < 2) | ~np.isfinite(n)
    low, high = np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
    return mean, np.where(none, np.nan, low), np.where(none, np.nan, high)


def median_quartiles(values: Array) -> tuple[Array, Array, Array]:
    """Median over runs with the 25 % and 75 % percentiles.

    Args:
        values: (n, C); NaN where a run has no value.

    Returns:
        (C,) median, lower and upper quartile; NaN where no run has a value, the quartiles where
        fewer than two have one.
    """
    result = np.full((3, values.shape[1]), np.nan)
    count = np.sum(~np.isnan(values), axis=0)
    result[:, count > 0] = np.nanpercentile(values[:, count > 0], [50, 25, 75], axis=0)
    result[1:, count < 2] = np.nan
    return result[0], result[1], result[2]


def steps_to_reach(steps: Array, curve: Array, level: float) -> float:
    """Env steps at which a curve first reaches a level, on the straight lines between its points.

    Args:
        steps: (E,) increasing.
        curve: (E,) the values there; NaN is never above a level.
        level: The level.

    Returns:
        Env steps; infinite where the curve stays below.
    """
    above = np.flatnonzero(curve >= level)
    if not above.size:
        return math.inf
    i = int(above[0])
    if i == 0 or np.isnan(curve[i - 1]):
        return float(steps[i])
    part = (level - curve[i - 1]) / (curve[i] - curve[i - 1])
    return float(steps[i - 1] + part * (steps[i] - steps[i - 1]))
