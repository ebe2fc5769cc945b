"""Collects the evaluations of finished runs and draws docs/results/*.png from them.

python docs/results/curves.py collect ~/ray_results/NAME ... > docs/results/lbf_8x8.csv
python docs/results/curves.py draw docs/results/lbf_8x8.csv docs/results/lbf_8x8.png
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path

COLUMNS = {
    "test_return": ("evaluation", "env_runners", "episode_return_mean"),
    "latent_active_dims": ("learners", "team", "latent_active_dims"),
    "kl_posterior_prior": ("learners", "team", "kl_posterior_prior"),
    "kl_prior_normal": ("learners", "team", "kl_prior_normal"),
    "obs_error_1_step": ("learners", "team", "obs_error_1_step"),
    "obs_nothing_changes_1_step": ("learners", "team", "obs_nothing_changes_1_step"),
    "obs_error_3_step": ("learners", "team", "obs_error_3_step"),
    "obs_nothing_changes_3_step": ("learners", "team", "obs_nothing_changes_3_step"),
}


def collect(folders: list[str]) -> None:
    """Writes one CSV row per evaluation found below Tune's result folders."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["algorithm", "seed", "env_steps", "seconds", *COLUMNS])
    for log in sorted(log for folder in folders for log in Path(folder).rglob("result.json")):
        for line in log.read_text().splitlines():
            result = json.loads(line)
            if "evaluation" not in result:
                continue
            algorithm = log.parent.name.split("_")[0]
            seed = result["config"]["seed"]
            steps = int(result["num_env_steps_sampled_lifetime"])
            row = [algorithm, seed, steps, round(result["time_total_s"])]
            for path in COLUMNS.values():
                value = result
                for key in path:
                    value = value.get(key, {}) if isinstance(value, dict) else {}
                row.append("" if value == {} else f"{value:.5g}")
            writer.writerow(row)


def draw(table: str, picture: str) -> None:
    """Draws every seed thinly and each algorithm's mean boldly."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    runs: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    with open(table) as file:
        for row in csv.DictReader(file):
            point = (int(row["env_steps"]), float(row["test_return"]))
            runs[row["algorithm"]][row["seed"]].append(point)
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for colour, (algorithm, seeds) in zip(("C0", "C1", "C2", "C3"), runs.items(), strict=False):
        for points in seeds.values():
            axes.plot(*zip(*points, strict=True), colour, alpha=0.35, linewidth=1)
        together = list(zip(*seeds.values(), strict=False))  # where every seed has a point
        steps = [sum(p[0] for p in points) / len(points) for points in together]
        means = [sum(p[1] for p in points) / len(points) for points in together]
        axes.plot(steps, means, colour, linewidth=2.2, label=f"{algorithm} ({len(seeds)} seeds)")
    axes.set(xlabel="env steps", ylabel="greedy test return", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=130)


if __name__ == "__main__":
    if sys.argv[1:2] == ["collect"]:
        collect(sys.argv[2:])
    elif sys.argv[1:2] == ["draw"] and len(sys.argv) == 4:
        draw(*sys.argv[2:])
    else:
        sys.exit(__doc__)
