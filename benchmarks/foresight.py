"""What makes the world model foresee: ``python -m benchmarks.foresight CHECKPOINT``.

Trains fresh world models on the episodes in a checkpoint's replay, beside agents that stand still,
and compares what each foretells of episodes that it never saw. No values are learned: a row takes
minutes, and variants differ in nothing but their settings.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import ray
import torch
import typer
import yaml
from torch import Tensor

from rllib_mmsa.method import losses as equations
from rllib_mmsa.method import networks, quality, update
from rllib_mmsa.method.settings import MMSASettings
from rllib_mmsa.method.targets import StepMean, greedy_actions
from rllib_mmsa.method.update import Batch, Step
from rllib_mmsa.rllib.batch import Window, to_arrays
from rllib_mmsa.rllib.mmsa import MMSA

VariantOption = Annotated[
    list[str] | None, typer.Option(help="'dynamics_layers=1;kl_weight=0.02'; several are possible.")
]


class Played(SimpleNamespace):
    """Episodes, padded, and what the agents make of them.

    Attributes:
        batch: E episodes; ``hidden``: (E, T+1, N, H); ``greedy``: (E, T+1, N).
        sizes: numbers that networks are built for.
    """


def read(checkpoint: Path, episodes: int) -> Played:
    """The latest episodes of a checkpoint's replay, in an order drawn by chance."""
    algorithm = MMSA.from_checkpoint(checkpoint.resolve().as_uri())
    stored = list(algorithm.replay._episodes)[-episodes:]
    order = np.random.default_rng(0).permutation(len(stored))
    arrays = to_arrays([Window.whole(stored[i]) for i in order])
    batch = Batch.of({name: torch.as_tensor(values) for name, values in arrays.items()})
    batch = batch._replace(rewards=batch.rewards / algorithm.replay.reward_deviation)
    module = algorithm.learner_group._learner.team_module
    with torch.no_grad():
        hidden = module.agent.unroll(batch.obs, batch.actions)
        greedy = greedy_actions(module.agent.q_values(hidden, batch.obs), batch.action_mask)
    algorithm.stop()
    return Played(batch=batch, hidden=hidden, greedy=greedy, sizes=module)


def train(played: Played, settings: MMSASettings, updates: int, seed: int) -> tuple[Any, float]:
    """A world model after some updates, its weights averaged, and milliseconds of one update."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = networks.make_world_model(played.sizes, settings)
    average = networks.frozen_copy(model)
    nets = SimpleNamespace(
        world_model=model, target_world_model=average, training=True, settings=settings
    )
    learned = equations.losses_of(settings)
    of_model = settings.model_loss_weights
    weighed = {name: loss for name, loss in learned.items() if name in of_model}
    optimiser = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.99, eps=1e-5)
    every, taken = 32 // settings.share_every, []
    for _ in range(updates):
        rows = torch.from_numpy(rng.choice(held_out(played), every, replace=False))
        started = time.process_time()
        step = model_step(nets, played, rows)
        values = {name: loss(step, settings) for name, loss in weighed.items()}
        optimiser.zero_grad()
        equations.total_loss(values, settings).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        taken.append(time.process_time() - started)
        networks.average_model(nets)
    last = model if settings.world_model_average is None else average
    return last, 1e3 * float(np.median(taken))


def model_step(nets: Any, played: Played, rows: Tensor) -> Step:
    """What the world model says of some episodes, cut at the longest of them."""
    longest = int(played.batch.loss_mask[rows].sum(1).max())
    per_observation = ("obs", "action_mask", "state")
    share = Batch(
        *(
            values[rows, : longest + (name in per_observation)]
            for name, values in played.batch._asdict().items()
        )
    )
    hidden, greedy = (x[rows, : longest + 1] for x in (played.hidden, played.greedy))
    noise = torch.randn(2, len(rows), longest + 1, nets.world_model.joint_dim)
    said = update.unroll_model(nets, share, hidden, greedy, noise)
    steps, empty = StepMean(share.loss_mask), torch.zeros(())
    step = Step(empty, empty, steps, nets, share_steps=steps, model=said)
    return step._replace(share_observations=StepMean(share.read_mask))


def held_out(played: Played) -> int:
    """The number of episodes that are learned from; the last tenth is not."""
    return len(played.batch.rewards) * 9 // 10


def judge(model: Any, played: Played, horizon: int) -> dict[str, float]:
    """Errors on the episodes held out, as shares of those of "nothing changes", and reward AUC."""
    first = held_out(played)
    batch = Batch(*(values[first:] for values in played.batch))
    forecast = quality.foresee_latents(model.eval(), batch, played.hidden[first:], horizon)
    errors = quality.prediction_errors(model, batch, forecast)
    scores = quality.reward_scores(model, batch, forecast)
    found = {
        f"{k} ahead": errors[f"obs_error_{k}_step"] / errors[f"obs_nothing_changes_{k}_step"]
        for k in (1, horizon)
    }
    found["reward AUC"] = scores.get(f"reward_auc_{horizon}_step", torch.tensor(torch.nan))
    return {name: float(value) for name, value in found.items()}


def main(
    checkpoint: Annotated[Path, typer.Argument(help="An MMSA checkpoint with its replay.")],
    variant: VariantOption = None,
    updates: Annotated[int, typer.Option(min=1)] = 4000,
    episodes: Annotated[int, typer.Option(min=100, help="Of the replay.")] = 2200,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Print a Markdown table: a row for the defaults, and one for each variant."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR")
    played = read(checkpoint, episodes)
    ray.shutdown()
    typer.echo("| settings | 1 ahead | 3 ahead | reward AUC | ms |\n|---|---:|---:|---:|---:|")
    for text in ("", *(variant or [])):
        given = {k: yaml.safe_load(v) for k, v in (p.split("=") for p in text.split(";") if p)}
        model, took = train(played, MMSASettings(**given), updates, seed)
        found = judge(model, played, horizon=3).values()
        row = " | ".join(f"{value:.3f}" for value in found)
        typer.echo(f"| {text or 'the defaults'} | {row} | {took:.1f} |")


if __name__ == "__main__":
    typer.run(main)
