"""Clients that ask a served team as fast as it answers, in a process of their own.

    python -m benchmarks.serving_load TEAM URL CLIENTS ENVIRONMENTS SECONDS

It says "ready", waits for a line, and prints what it found as JSON. Every answer is compared with
what ``load_team`` does with the same observations. URL "handle" starts Ray Serve here and asks by
its DeploymentHandle.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from typing import Any

import numpy as np

import rllib_mmsa
from rllib_mmsa.serving import Client, Unanswered

STEPS, SESSIONS = 40, 64


class Games:
    """Observations of episodes, and the actions that the team takes in them.

    Args:
        folder: The team.
        environments: E, in one request; 1: without that axis.
    """

    def __init__(self, folder: str, environments: int):
        team, rng = rllib_mmsa.load_team(folder), np.random.default_rng(0)
        sizes = (STEPS, SESSIONS * environments, team.num_agents)
        obs = rng.normal(size=(*sizes, team.obs_size)).astype(np.float32)
        mask = rng.random((*sizes, team.num_actions)) < 0.7
        mask[..., 0] = True
        chosen = [team.act({"obs": o, "action_mask": m}) for o, m in zip(obs, mask, strict=True)]
        shape = (STEPS, SESSIONS) if environments == 1 else (STEPS, SESSIONS, environments)
        self.obs, self.mask, self.actions = (
            each.reshape(*shape, *each.shape[2:]) for each in (obs, mask, np.stack(chosen))
        )

    def step(self, session: int, t: int) -> tuple[dict[str, Any], np.ndarray]:
        """What is seen at a step, and what is done."""
        seen = {"obs": self.obs[t, session], "action_mask": self.mask[t, session]}
        return seen, self.actions[t, session]


class Counts:
    """What the clients of this process met."""

    def __init__(self) -> None:
        self.seconds: list[float] = []  # of each answered request
        self.wrong = self.lost = self.retries = self.together = 0
        self.elapsed = 0.0  # seconds of all

    def answered(self, since: float, right: bool, together: int) -> None:
        self.seconds.append(time.perf_counter() - since)
        self.wrong += not right
        self.together += together

    def words(self) -> str:
        return json.dumps(vars(self))


def ask(games: Games, url: str, session: int, seconds: float) -> Counts:
    """One client's requests, episode after episode."""
    counts, end = Counts(), time.monotonic() + seconds
    with Client(url) as client:
        while time.monotonic() < end:
            client.reset()
            for t in range(STEPS):
                seen, expected = games.step(session, t)
                since = time.perf_counter()
                try:
                    actions = client.act(seen)
                except Unanswered:
                    counts.lost += 1
                    break
                counts.answered(since, bool((actions == expected).all()), client.together)
                if time.monotonic() > end:
                    break
        counts.retries = client.retries
    return counts


def by_http(games: Games, url: str, clients: int, seconds: float) -> Counts:
    """Clients in threads."""
    found: list[Counts] = []

    def one(session: int) -> None:
        found.append(ask(games, url, session, seconds))

    threads = [threading.Thread(target=one, args=(n % SESSIONS,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = Counts()
    total.lost = clients - len(found)  # a thread that failed has said why
    for counts in found:
        total.seconds += counts.seconds
        for name in ("wrong", "lost", "retries", "together"):
            setattr(total, name, getattr(total, name) + getattr(counts, name))
    return total


async def by_handle(games: Games, handle: Any, clients: int, seconds: float) -> Counts:
    """Clients that call the deployment, as another deployment does."""
    counts, end = Counts(), time.monotonic() + seconds

    async def one(session: int) -> None:
        while time.monotonic() < end:
            state = None
            for t in range(STEPS):
                seen, expected = games.step(session, t)
                since = time.perf_counter()
                answer = await handle.act.remote({**seen, "state": state})
                right = bool((np.asarray(answer["actions"]) == expected).all())
                counts.answered(since, right, answer["together"])
                state = answer["state"]
                if time.monotonic() > end:
                    break

    await asyncio.gather(*(one(n % SESSIONS) for n in range(clients)))
    return counts


def start_serve(folder: str) -> Any:
    """A handle of the team, behind Ray Serve in this process."""
    import ray
    from ray import serve

    from rllib_mmsa.serving.ray_serve import Settings, app

    ray.init(include_dashboard=False, log_to_driver=False)
    return serve.run(app(Settings(team=folder)))


def main() -> None:
    folder, url, clients, environments, seconds = sys.argv[1:]
    games = Games(folder, int(environments))
    handle = start_serve(folder) if url == "handle" else None
    print("ready", flush=True)
    sys.stdin.readline()
    since = time.perf_counter()
    if handle is None:
        counts = by_http(games, url, int(clients), float(seconds))
    else:
        counts = asyncio.run(by_handle(games, handle, int(clients), float(seconds)))
    counts.elapsed = time.perf_counter() - since
    print(counts.words(), flush=True)


if __name__ == "__main__":
    main()
