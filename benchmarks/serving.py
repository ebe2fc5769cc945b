"""How fast a served team answers, and whether a request is lost when a process is killed.

    python -m benchmarks.serving my_team

Server and clients share the machine. The servers are started by the commands of docs/serving.md.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from rich.console import Console

from benchmarks.machine import machine, machine_words
from benchmarks.tables import Table
from rllib_mmsa.serving import Client, Unanswered

URL = "http://127.0.0.1:8000"
RAY_SERVE = [sys.executable, "-m", "ray.serve.scripts", "run", "rllib_mmsa.serving:app"]
UVICORN = [sys.executable, "-m", "uvicorn", "rllib_mmsa.serving.server:app", "--workers", "2"]
FAST = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_HA_PROXY": "1"}
FAST |= {"RAY_SERVE_HAPROXY_METRICS_ENABLED": "0", "RAY_SERVE_HAPROXY_NBTHREAD": "1"}
FAST |= {"RAY_worker_niceness": "0"}
START = 120.0  # seconds
HANDLE = "handle"


@dataclass(frozen=True)
class Server:
    """One way to serve.

    Attributes:
        name: As the table says it.
        command: That starts it; TEAM stands for the folder.
        env: Its environment variables.
        process: What the command line of a process that answers holds.
    """

    name: str
    command: list[str]
    process: str
    env: dict[str, str] = field(default_factory=dict)


SERVERS = {
    "fast": Server("Ray Serve, HAProxy", [*RAY_SERVE, "team=TEAM"], "ray::ServeReplica", env=FAST),
    "serve": Server("Ray Serve, its defaults", [*RAY_SERVE, "team=TEAM"], "ray::ServeReplica"),
    "alone": Server(
        "uvicorn, without Ray", [*UVICORN, "--no-access-log"], "spawn_main", env={"TEAM": "TEAM"}
    ),
}


@dataclass(frozen=True)
class Load:
    """What is asked of a server.

    Attributes:
        clients: At the same time.
        environments: In each request.
        kill: Whether one of the processes that answer is killed half-way.
    """

    clients: int = 64
    environments: int = 1
    kill: bool = False


LOADS = {
    "fast": [Load(), Load(kill=True), Load(environments=16), Load(clients=1)],
    "serve": [Load()],
    "alone": [Load(), Load(kill=True), Load(environments=16), Load(clients=1)],
}

KEYS = [*SERVERS, HANDLE]


def environ(folder: str, extra: dict[str, str]) -> dict[str, str]:
    """One thread for each process, no other Ray cluster."""
    own = {"OMP_NUM_THREADS": "1", "RAY_ADDRESS": "local", "RAY_USAGE_STATS_ENABLED": "0"}
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    told = {key: value.replace("TEAM", folder) for key, value in extra.items()}
    return {**os.environ, **own, "PYTHONPATH": path, **told}


@contextmanager
def serving(server: Server, folder: str) -> Iterator[subprocess.Popen]:
    """A server that answers, until the end of the block."""
    command = [word.replace("TEAM", folder) for word in server.command]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, env=environ(folder, server.env), stdout=log, stderr=subprocess.STDOUT
        )
        try:
            try:
                with Client(URL, patience=START) as client:
                    _wait(client, process)
            except (Unanswered, RuntimeError) as error:
                log.seek(0)
                raise SystemExit(f"{server.name} does not start: {error}\n{log.read()}") from None
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(client: Client, process: subprocess.Popen) -> None:
    """Until the team is described: Ray Serve answers 404 before it knows the application."""
    from rllib_mmsa.serving import Refused

    end = time.monotonic() + START
    while process.poll() is None:
        try:
            client.describe()
            return time.sleep(3)  # the other replicas
        except Refused:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
    raise RuntimeError(f"it ended with {process.returncode}")


def answering(server: Server, process: subprocess.Popen) -> list[psutil.Process]:
    """The processes that answer, or would."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if server.process in " ".join(child.cmdline())]


class Clients:
    """Processes that ask, ready to begin."""

    def __init__(self, folder: str, url: str, load: Load, seconds: float, env: dict[str, str]):
        number = min(2, load.clients)
        arguments = [url, load.clients // number, load.environments, seconds]
        command = [sys.executable, "-m", "benchmarks.serving_load", folder, *map(str, arguments)]
        self.environments = load.environments
        self.processes = [
            subprocess.Popen(
                command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(1 if url == HANDLE else number)
        ]
        for each in self.processes:
            if each.stdout.readline() != "ready\n":
                raise SystemExit("a client does not start")

    def begin(self) -> None:
        for each in self.processes:
            each.stdin.write("go\n")
            each.stdin.flush()

    def found(self) -> dict[str, Any]:
        """What they met, together."""
        counts = [json.loads(each.communicate()[0]) for each in self.processes]
        seconds = np.concatenate([each["seconds"] for each in counts])
        rate = len(seconds) / max(each["elapsed"] for each in counts)
        total = {name: sum(each[name] for each in counts) for name in ("wrong", "lost", "retries")}
        return {
            "requests_per_s": rate,
            "env_steps_per_s": rate * self.environments,
            "p50_ms": float(np.median(seconds)) * 1e3,
            "p99_ms": float(np.percentile(seconds, 99)) * 1e3,
            "together": sum(each["together"] for each in counts) / max(1, len(seconds)),
            **total,
        }


def measure(
    server: Server, process: subprocess.Popen, load: Load, folder: str, seconds: float
) -> list[str]:
    """A row: what clients meet, while a process is killed if one is to be."""
    clients = Clients(folder, URL, load, seconds, environ(folder, {}))
    clients.begin()
    if load.kill:
        time.sleep(seconds / 2)
        answering(server, process)[0].kill()
    return row(server.name, load, clients.found())


def measure_handle(folder: str, seconds: float) -> list[str]:
    """A row: callers inside the cluster."""
    load, env = Load(), environ(folder, {**FAST, "RAY_SERVE_ENABLE_HA_PROXY": "0"})
    clients = Clients(folder, "handle", load, seconds, env)
    clients.begin()
    return row("Ray Serve, DeploymentHandle", load, clients.found())


def row(name: str, load: Load, found: dict[str, Any]) -> list[str]:
    asked = f"{load.clients} x {load.environments}" + (", one killed" if load.kill else "")
    numbers = [found["requests_per_s"], found["env_steps_per_s"]]
    small = [found["p50_ms"], found["p99_ms"], found["together"]]
    counted = [found["retries"], found["wrong"], found["lost"]]
    words = [*(f"{n:,.0f}" for n in numbers), *(f"{n:,.1f}" for n in small)]
    return [name, asked, *words, *map(str, counted)]


def main(
    team: Annotated[Path, typer.Argument(help="A folder of `rllib export`.")],
    seconds: Annotated[float, typer.Option(min=1, help="Of each row.")] = 10.0,
    only: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(KEYS)}.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print as Markdown.")] = False,
) -> None:
    """Measure a served team (docs/serving.md)."""
    folder, say = str(team.expanduser().resolve()), Console(stderr=True).print
    facts = machine_words(machine(1))
    table = Table(
        "A served team: requests and env steps per second, milliseconds, requests",
        ["served by", "clients x environments", "requests/s", "env steps/s", "p50 ms", "p99 ms",
         "answered together", "sent again", "wrong", "lost"],
        note="wrong: other actions than load_team's. Clients and server share the machine.",
    )  # fmt: skip
    for key in only or KEYS:
        if key == HANDLE:
            table.rows.append(measure_handle(folder, seconds))
            continue
        server = SERVERS[key]
        with serving(server, folder) as process:
            for load in LOADS[key]:
                say(f"[dim]{server.name}: {load}[/dim]")
                table.rows.append(measure(server, process, load, folder, seconds))
    if markdown:
        print("\n".join([facts + "\n", table.markdown()]))
    else:
        print(facts)
        table.show(Console(width=150))


if __name__ == "__main__":
    typer.run(main)
