"""The record of what runs, `experiment.yaml` in its folder of results."""

from __future__ import annotations

from collections.abc import Mapping

import typer
import yaml

from rllib_mmsa.command.experiment.experiment import RECORD, Experiment
from rllib_mmsa.replacing import replacing


def note_changes(experiment: Experiment, more_stop: Mapping[str, float]) -> None:
    """Warn where settings have changed since the start; note in the record what does change."""
    path = experiment.path / RECORD
    if not path.exists():
        return
    ((name, before),) = yaml.safe_load(path.read_text(encoding="utf-8")).items()
    before.setdefault("stop", {})
    ((_, now),) = yaml.safe_load(yaml.safe_dump(experiment.to_mapping())).items()
    now["stop"] = {**now.get("stop", {}), **more_stop}
    if more_stop or before.get("import") != now.get("import"):
        before["stop"] = {**before["stop"], **more_stop}
        # The folder or the imported files may have been moved.
        before["import"] = now.get("import", [])
        with replacing(path) as file:
            yaml.safe_dump({name: before}, file, sort_keys=False)
    unlike = {k for k in {*before, *now} if before.get(k) != now.get(k)} - {"import"}
    if unlike:
        typer.echo(
            f"note: {', '.join(sorted(unlike))} of '{experiment.name}' changed since its start; a "
            f"resumed run keeps what it started with ({path}), but for what --stop says",
            err=True,
        )


def write(experiment: Experiment) -> None:
    """Write what runs into its folder of results."""
    if experiment.is_remote:
        return
    with replacing(experiment.path / RECORD) as file:
        yaml.safe_dump(experiment.to_mapping(), file, sort_keys=False)
