"""The command: ``python -m benchmarks`` (``make bench``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks import against_peer, speed, work
from benchmarks.machine import machine, machine_words
from benchmarks.plan import PARTS, Plan
from benchmarks.protocol import BenchmarkError
from benchmarks.statistics import to_json
from benchmarks.tables import Table
from benchmarks.variants import ENVIRONMENTS, parse_variant, with_settings
from benchmarks.worker import shared_ray

DEFAULT_ENVIRONMENTS = ("lbf", "smax", "mamujoco")
DEFAULT_ALGORITHMS = ("QMIX", "VDN", "MMSA")
SPEED_PARTS = (speed.SAMPLING, speed.UPDATE, speed.LOOP)
FORMAT = 1  # of the JSON

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


PartOption = Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(PARTS)}. Default: all.")]
EnvOption = Annotated[
    list[str] | None, typer.Option(help=f"Of {', '.join(ENVIRONMENTS)}; several are possible.")
]
AlgoOption = Annotated[list[str] | None, typer.Option(help="Algorithm; several are possible.")]
VariantOption = Annotated[
    list[str] | None,
    typer.Option(help="Beside the algorithms: 'MMSA:rollout_horizon=1;latent_dim=8'."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, or ALGORITHM:key=value.")
]
RoundsOption = Annotated[int, typer.Option(min=1, help="Turns of each variant.")]
ThreadsOption = Annotated[int, typer.Option(min=1, help="PyTorch threads of each process.")]
StepMsOption = Annotated[
    float, typer.Option(min=0.0, help="Milliseconds that each step of a game takes longer.")
]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="One short round in one process: does it still run?")
]
PeerOption = Annotated[
    Path | None, typer.Option(help="A checkout of EPyMARL: time its QMIX in turns with ours.")
]
PeerPythonOption = Annotated[
    str | None, typer.Option(help="Python that has what EPyMARL needs. Default: this one.")
]
OutputOption = Annotated[Path, typer.Option(help="JSON file.")]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print tables as Markdown.")]


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def main(
    part: PartOption = None,
    env: EnvOption = None,
    algo: AlgoOption = None,
    variant: VariantOption = None,
    set_: SetOption = None,
    rounds: RoundsOption = 10,
    threads: ThreadsOption = 1,
    step_ms: StepMsOption = 0.0,
    quick: QuickOption = False,
    peer: PeerOption = None,
    peer_python: PeerPythonOption = None,
    output: OutputOption = Path("results/benchmarks.json"),
    markdown: MarkdownOption = False,
) -> None:
    """Measure speed and memory; print tables and write JSON (docs/performance.md)."""
    errors = Console(stderr=True)
    texts = [*(algo or DEFAULT_ALGORITHMS), *(variant or [])]
    try:
        plan = Plan(
            parts=tuple(_known("part", part or PARTS, PARTS)),
            environments=tuple(_known("env", env or _available(errors), ENVIRONMENTS)),
            variants=tuple(with_settings([parse_variant(text) for text in texts], set_ or [])),
            rounds=1 if quick else rounds,
            threads=threads,
            step_ms=step_ms,
            quick=quick,
            say=lambda words: errors.print(f"[dim]{words}[/dim]", highlight=False),
        )
        if peer is not None and step_ms:
            raise BenchmarkError(f"--step-ms {step_ms:g}: the peer's games cannot be slowed")
        with shared_ray():
            results = measure(plan, peer, peer_python)
    except BenchmarkError as error:
        errors.print(f"[bold red]error:[/bold red] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    show(results, markdown)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(to_json(results), encoding="utf-8")
    errors.print(f"written to {output}", highlight=False)


def _available(errors: Console) -> list[str]:
    """The default environments whose packages are there; the others are named."""
    from env_registry import installed

    available = []
    for name in DEFAULT_ENVIRONMENTS:
        there, missing = installed(ENVIRONMENTS[name].env)
        if there:
            available.append(name)
        else:
            errors.print(f"{name} is left out: {missing}", highlight=False, soft_wrap=True)
    return available


def _known(option: str, given: Any, known: Any) -> Any:
    for name in given:
        if name not in known:
            raise BenchmarkError(f"--{option} {name}: there are {', '.join(known)}")
    return given


def measure(plan: Plan, peer: Path | None, peer_python: str | None) -> dict[str, Any]:
    """Measures all that the plan and the options ask for: what the JSON holds."""
    results: dict[str, Any] = {
        "format": FORMAT,
        "machine": machine(plan.threads),
        "settings": {
            "rounds": plan.rounds,
            "step_ms": plan.step_ms,
            "variants": {v.name: {"algorithm": v.algorithm, **v.settings} for v in plan.variants},
        },
        "speed": {},
        "peer": {},
        "replay": [],
        "growth": [],
    }
    if set(plan.parts) & set(SPEED_PARTS):
        for environment in plan.environments:
            results["speed"][environment] = speed.measure(plan, environment)
    if peer is not None:
        results["peer"] = against_peer.measure(plan, peer, peer_python)
    if "replay" in plan.parts:
        results["replay"] = work.measure_replay(plan)
    if "growth" in plan.parts:
        results["growth"] = work.measure_growth(plan)
    return results


def show(results: dict[str, Any], markdown: bool) -> None:
    """Prints the machine and a table for each part."""
    console = Console()
    tables: list[Table] = []
    for environment, found in results["speed"].items():
        tables += speed.tables(environment, found, results["settings"]["step_ms"])
    if results["peer"]:
        tables.append(against_peer.table(results["peer"]))
    if results["replay"]:
        tables.append(work.replay_table(results["replay"]))
    if results["growth"]:
        tables.append(work.growth_table(results["growth"]))
    words = machine_words(results["machine"])
    if markdown:
        print("\n".join([words + "\n", *(table.markdown() for table in tables)]))
        return
    console.print(words, highlight=False)
    for table in tables:
        table.show(console)


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
