"""Runs the studies behind the pages of results, as far as they are missing (`make campaign`).

Each study is a file of tuned_examples. What of it has not begun is begun, what was interrupted goes
on in the middle of its trials, and what is finished stands. The evaluations then become a data file
beside those pages, and their figures and tables are built anew.
"""

from __future__ import annotations

import enum
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from rllib_mmsa import report
from rllib_mmsa.command.experiment.files import load_file
from rllib_mmsa.report.study import Options
from scripts import results

ROOT = Path(__file__).resolve().parents[1]
#: File of tuned_examples -> the data file that its runs make, and that a page has tables of.
STUDIES = {
    "campaign_coop": "lbf_coop",
    "compare_smax": "smax_rivals",
    "mmsa_world_model": "lbf_arms",
    "campaign_lbf": "lbf_2m",
}
Study = enum.Enum("Study", {name: name for name in STUDIES})


def main(
    studies: Annotated[list[Study] | None, typer.Argument(help="Default: all.")] = None,
    storage_path: Annotated[str, typer.Option(help="Folder above the results.")] = "~/ray_results",
    no_training: Annotated[bool, typer.Option("--no-training", help="Take what is there.")] = False,
) -> None:
    """Run studies as far as they are missing, and rebuild the results from them."""
    chosen = [each.value for each in studies or Study]
    for study in chosen:
        file = ROOT / "tuned_examples" / f"{study}.yaml"
        if not no_training:
            train = ["train", "file", str(file), "--go-on", "--storage-path", storage_path]
            code = subprocess.run([sys.executable, "-m", "rllib_mmsa", *train]).returncode
            if code:
                raise typer.Exit(code)
        folders = [each.path for each in load_file(file, storage_path=storage_path)]
        missing = [str(folder) for folder in folders if not folder.exists()]
        if missing:  # the data file has them, and would lose them
            typer.echo(
                f"{study}: {', '.join(missing)}: not there; leave --no-training out", err=True
            )
            raise typer.Exit(2)
        data = results.DOCS / "results" / "data" / f"{STUDIES[study]}.csv"
        for line in report.run(list(map(str, folders)), None, data, Options()):
            typer.echo(line)
    results.main()
    for study in chosen:
        typer.echo(f"figures     {results.DOCS / 'results' / STUDIES[study] / 'figures'}")


if __name__ == "__main__":
    typer.run(main)
