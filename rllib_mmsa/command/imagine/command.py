"""`rllib imagine`: greedy episodes with a checkpoint, and what its world model foresaw in them."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from env_registry.contract import checked_layout
from rllib_mmsa.command import checkpoints, evaluate
from rllib_mmsa.command.experiment import preflight
from rllib_mmsa.command.opened import Opened
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.report import check_out
from rllib_mmsa.report.names import task_name

LEAST_DEPTH = 10  # steps ahead that errors are measured for, at least: where does it go wrong?


@dataclasses.dataclass(frozen=True)
class Imagined:
    """What `run` measured and wrote.

    Attributes:
        checkpoint: The checkpoint's folder.
        env: The environment's name, with its task where it has one.
        horizon: The roll-out horizon that was trained with.
        episodes: How many the errors are of.
        length: Env steps of the episode that is drawn.
        depths: For each depth its errors, as in errors.csv.
        kinds: The measures by kind of change, as in kinds.csv.
        files: What was written.
    """

    checkpoint: Path
    env: str
    horizon: int
    episodes: int
    length: int
    depths: list[dict[str, Any]]
    kinds: list[dict[str, Any]]
    files: list[Path]

    def summary(self) -> str:
        """Return the lines that the command prints."""
        lines = [
            f"checkpoint  {self.checkpoint}",
            f"MMSA on {self.env}, roll-out horizon {self.horizon}",
            f"mean squared error of observations, {self.episodes} greedy episodes:",
            "  steps ahead   imagined   told the actions   nothing changes   "
            "reward AUC   reward R2",
        ]
        for row in self.depths:
            if row["steps"]:
                scores = (row["reward_auc"], row["reward_r2"])
                auc, r2 = ("-" if score is None else f"{score:.3f}" for score in scores)
                lines.append(
                    f"  {row['depth']:>11}   {row['imagined']:8.4g}   {row['told']:16.4g}   "
                    f"{row['nothing_changes']:15.4g}   {auc:>10}   {r2:>9}"
                )
        from rllib_mmsa.command.imagine.kinds import kind_lines

        lines += kind_lines(self.kinds)
        return "\n".join([*lines, *(f"wrote       {path}" for path in self.files)])


def parse_steps(text: str | None) -> list[int] | None:
    """Read "0,10,20" as steps; None stays None.

    Raises:
        ConfigError: If it is anything else.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise ConfigError(f"--steps takes env steps such as 0,10,20, not '{text}'.")
    return sorted({int(part) for part in parts})


def run(
    path: str | Path,
    *,
    out: str | Path,
    steps: list[int] | None = None,
    episodes: int = 20,
    seed: int | None = None,
    files: Sequence[str] = (),
) -> Imagined:
    """Play greedy episodes, draw the longest and measure all.

    Writes step_<t>.png for each step, errors.png, errors.csv, kinds.png, kinds.csv and
    imagined.json.

    Args:
        path: What `checkpoints.locate` understands.
        out: Folder to write to; created where it is missing.
        steps: Steps of the longest episode that are drawn; None: three, spread over it.
        episodes: How many are played.
        seed: Seed of the environments; None: another each time.
        files: Modules or Python files to import, in place of recorded ones that were moved.

    Returns:
        What was measured and written.

    Raises:
        ConfigError: If the checkpoint has no world model, the episode not these steps, or a file
            is where the folder is to be.
    """
    checkpoint = checkpoints.locate(path)
    check_out(Path(out).expanduser())
    team = _open(checkpoint, files)
    preflight.quiet_logs()
    played, env = _play(team, checkpoint, episodes, seed)
    longest = max(played, key=len)  # they come in the order they ended: the first is short
    steps = _drawn_steps(steps, len(longest))
    return _draw(checkpoint, team.config, played, longest, env, steps, Path(out).expanduser(), seed)


def _drawn_steps(steps: list[int] | None, length: int) -> list[int]:
    """The steps that are drawn of an episode, checked."""
    from rllib_mmsa.rllib.pictures import spread_steps

    if not steps:
        return spread_steps(length)
    if steps[-1] >= length:
        raise ConfigError(
            f"--steps: step {steps[-1]} is past the end; the longest episode has the steps 0 to "
            f"{length - 1} (--seed plays the same ones again)."
        )
    return steps


def _draw(
    checkpoint: Path, config: Any, played: list, longest: Any, env: Any, steps: list[int],
    folder: Path, seed: int | None,
) -> Imagined:  # fmt: skip
    """Measure all episodes, draw one, write both."""
    from rllib_mmsa.command.imagine.kinds import kind_rows, step_notes
    from rllib_mmsa.method.foresight import depth_errors, foresee, usual_of
    from rllib_mmsa.method.kinds import places_of
    from rllib_mmsa.rllib.pictures import painter

    module, horizon = _load_module(checkpoint), config.rollout_horizon
    places = places_of(checked_layout(env), module.obs_size)
    errors = depth_errors(module, played, max(horizon, LEAST_DEPTH), places)
    task = (config.env_config or {}).get("task")
    result = Imagined(
        checkpoint=checkpoint,
        env=task_name(config.env, task, getattr(env, "backend", None)),
        horizon=horizon,
        episodes=len(played),
        length=len(longest),
        depths=_rows(errors),
        kinds=kind_rows(errors),
        files=[],
    )
    foresight = foresee(module, longest, horizon)
    paint, is_field = painter(env, longest.obs)
    folder.mkdir(parents=True, exist_ok=True)
    legend = getattr(env, "picture_legend", ()) if is_field else ()
    usual = usual_of(places, played)
    notes = {step: step_notes(foresight, step, places, usual) for step in steps}
    _write_figures(folder, result, foresight, notes, paint, errors, legend)
    _write_numbers(folder, result, foresight, steps, seed)
    return result


def _open(checkpoint: Path, files: Sequence[str]) -> Opened:
    """An MMSA checkpoint with a world model, or an error in words."""
    team = evaluate.with_pickles(checkpoint, files)
    name, config = team.algorithm, team.config
    if name != "MMSA":
        raise ConfigError(f"'{checkpoint}' was made by {name}, which imagines nothing; only MMSA.")
    if not config.has_world_model:
        raise ConfigError(
            f"'{checkpoint}' was trained without world model (use_world_model: "
            f"{config.use_world_model}, mixer_reads: {config.mixer_reads})."
        )
    return team


def _load_module(checkpoint: Path) -> Any:
    """The team's module with the parts that only learn, on the CPU."""
    from rllib_mmsa.rllib.module import MMSAModule

    folder = checkpoint / evaluate.MODULE_FOLDER
    if not folder.is_dir():
        raise ConfigError(f"'{checkpoint}' lacks {evaluate.MODULE_FOLDER}; is the copy complete?")
    with evaluate.finite_weights(checkpoint):
        module = MMSAModule.from_checkpoint(folder)
    module.eval()
    return module


def _play(team: Opened, checkpoint: Path, episodes: int, seed: int | None) -> tuple[list, Any]:
    """Greedy episodes, and an environment, which knows how it is drawn."""
    runner = evaluate.build_runner(team, checkpoint, seed=seed, film=None, epsilon=0.0)
    try:
        return runner.sample(num_episodes=episodes, explore=False), runner.env.envs[0]
    finally:
        runner.stop()


def _rows(errors: Any) -> list[dict[str, Any]]:
    """A row per depth: the steps it was measured on, mean errors and half their 95 % intervals."""
    rows = [{"depth": k + 1, "steps": int(n)} for k, n in enumerate(errors.steps.sum(0))]
    for name in ("imagined", "told", "nothing_changes"):
        for row, mean, half in zip(rows, *errors.mean(name), strict=True):
            row[name] = None if np.isnan(mean) else float(mean)
            row[f"{name}_half_interval"] = None if np.isnan(half) else float(half)
    for name, scores in errors.rewards.items():
        for row, score in zip(rows, scores, strict=True):
            row[f"reward_{name}"] = None if np.isnan(score) else float(score)
    return rows


def _write_figures(
    folder: Path, result: Imagined, foresight: Any, notes: dict[int, list[str]], paint: Any,
    errors: Any, legend: Sequence[Any],
) -> None:  # fmt: skip
    """A figure per step, one of the errors and one of the kinds of change."""
    from rllib_mmsa.command.imagine.figures import draw_errors, draw_step
    from rllib_mmsa.command.imagine.kinds import draw_kinds

    for step, words in notes.items():
        path = folder / f"step_{step:04}.png"
        title = f"{result.env}: what step {step} foresaw"
        draw_step(path, foresight, step, paint, title, legend, words)
        result.files.append(path)
    title = f"{result.env}, {result.episodes} greedy episodes"
    draw_errors(folder / "errors.png", errors, result.horizon, title)
    draw_kinds(folder / "kinds.png", result.kinds, result.horizon, title)
    result.files.extend([folder / "errors.png", folder / "kinds.png"])


def _write_numbers(
    folder: Path, result: Imagined, foresight: Any, steps: list[int], seed: int | None
) -> None:
    """errors.csv, kinds.csv, and imagined.json with both and the drawn steps' observations."""
    from rllib_mmsa.command.imagine.kinds import write_kinds

    write_kinds(folder / "kinds.csv", result.kinds)
    with (folder / "errors.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(result.depths[0]))
        writer.writeheader()
        writer.writerows(result.depths)
    horizon = result.horizon
    drawn = [
        {
            "step": step,
            "happened": foresight.seen[step : step + horizon + 1].tolist(),  # (K+1, N, D)
            "foreseen": foresight.imagined[step].tolist(),
        }
        for step in steps
    ]
    content = {
        "checkpoint": str(result.checkpoint),
        "env": result.env,
        "horizon": horizon,
        "episodes": result.episodes,
        "seed": seed,
        "errors": result.depths,
        "kinds": result.kinds,
        "episode_length": result.length,
        "steps": drawn,
    }
    (folder / "imagined.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    names = ("errors.csv", "kinds.csv", "imagined.json")
    result.files.extend(folder / name for name in names)
