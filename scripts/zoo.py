"""The zoo, tuned_examples/zoo: the best team of each task and algorithm among finished runs.

    python -m scripts.zoo RESULTS... [--episodes 1000]

Of several seeds the one with the best last test is taken. What the table says of it is measured
anew, on episodes that it was not chosen by.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from rllib_mmsa import report
from rllib_mmsa.command.evaluate import evaluate, interval
from rllib_mmsa.command.export import export
from rllib_mmsa.report.runs import FINISHED, Run

ZOO = Path(__file__).resolve().parents[1] / "tuned_examples" / "zoo"
#: Of the episodes behind the table.
SEED = 1000
_MARK = "<!-- teams -->\n"
_HEAD = "| Team | Env steps | Seed | Trained by | Return |\n| --- | ---: | ---: | --- | --- |\n"


def name_of(run: Run) -> str:
    """Folder of a run's team: "mmsa_lbf_10x10-4p-3f-v2"."""
    return f"{run.algorithm}_{run.task}".lower().replace(" ", "_")


def best(runs: list[Run]) -> list[Run]:
    """The finished run with the best last test, for each task and algorithm."""
    finished = [run for run in runs if run.status == FINISHED and len(run.test_return)]
    ranked = sorted(finished, key=lambda run: run.test_return[-1])
    return sorted({name_of(run): run for run in ranked}.values(), key=name_of)


def trial_of(run: Run, results: list[str]) -> Path:
    """The folder of a run below one of the results'."""
    return next(path for name in results for path in Path(name).expanduser().rglob(run.trial))


def row(run: Run, folder: Path, episodes: int) -> str:
    """What the table says of a team, measured now."""
    played = evaluate(folder, episodes=episodes, seed=SEED)
    steps = f"{run.env_steps[-1]:,.0f}"
    result = interval(played.returns)
    return f"| `{folder.name}` | {steps} | {run.seed} | {run.version} | {result} |\n"


def main(
    results: Annotated[list[str], typer.Argument(help="Folders of finished runs.")],
    episodes: Annotated[int, typer.Option(help="New episodes of each team.")] = 1000,
    license_id: Annotated[str, typer.Option("--license", help="Of the weights.")] = "Apache-2.0",
) -> None:
    """Replace the zoo by the best teams of these runs."""
    chosen = best(report.load(results))
    rows = []
    with tempfile.TemporaryDirectory(dir=ZOO.parent, prefix=".zoo.") as aside:
        for run in chosen:
            folder = Path(aside, name_of(run))
            export(trial_of(run, results), str(folder), onnx=False, license_id=license_id)
            rows.append(row(run, folder, episodes))
            typer.echo(rows[-1], nl=False)
        for old in filter(Path.is_dir, list(ZOO.iterdir())):
            shutil.rmtree(old)
        for run in chosen:
            Path(aside, name_of(run)).rename(ZOO / name_of(run))
    page = ZOO / "README.md"
    before = page.read_text(encoding="utf-8").split(_MARK)[0]
    page.write_text(before + _MARK + _HEAD + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
