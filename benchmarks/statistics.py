"""Medians, spreads, ratios by round, and how a cost grows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np


def summary(values: Sequence[float], unit: str) -> dict[str, Any]:
    """Median and spread of repeated measurements.

    Args:
        values: one number per round, in ``unit``.
        unit: of the values, in words.

    Returns:
        {"median", "low" (first quartile), "high" (third quartile), "values", "unit"}.

    Raises:
        ValueError: there are no values.
    """
    if not len(values):
        raise ValueError("nothing was measured: there are no values to summarise")
    low, median, high = np.percentile(np.asarray(values, float), [25, 50, 75])
    return {
        "median": float(median),
        "low": float(low),
        "high": float(high),
        "values": [float(value) for value in values],
        "unit": unit,
    }


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """ours / theirs round by round: what disturbs a round disturbs both.

    Raises:
        ValueError: the two were not measured equally often.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} rounds cannot be compared with {len(theirs)}")
    return summary(np.divide(ours, theirs).tolist(), "ratio")


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The p of cost = c * size^p that fits best (least squares of the logarithms).

    Raises:
        ValueError: fewer than two sizes, or a number that has no logarithm.
    """
    sizes, costs = np.asarray(sizes, float), np.asarray(costs, float)
    if len(sizes) < 2 or len(sizes) != len(costs):
        raise ValueError(f"{len(sizes)} sizes and {len(costs)} costs give no exponent")
    if min(sizes.min(), costs.min()) <= 0:
        raise ValueError("sizes and costs must be greater than 0")
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def words(measured: dict[str, Any], digits: int = 0) -> str:
    """ "median (low-high)" of a summary."""
    median, low, high = (measured[name] for name in ("median", "low", "high"))
    return f"{median:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def to_json(results: dict[str, Any]) -> str:
    """Results as text that ends with a line break."""
    return json.dumps(results, indent=1) + "\n"
