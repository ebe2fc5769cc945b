"""A trained team in a folder of its own: weights, description, ONNX and a page about it."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rllib_mmsa import whole
from rllib_mmsa.command.checkpoints import locate
from rllib_mmsa.errors import ConfigError

#: What a checkpoint's last result says of how the team was trained.
TRAINED = ("test_return", "test_win_rate", "test_env_steps", "num_env_steps_sampled_lifetime")


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where.
        team: "MMSA on lbf 8x8-2p-2f-v2".
        files: Their names and sizes in bytes.
    """

    folder: Path
    team: str
    files: dict[str, int]

    def summary(self) -> str:
        """Return the lines that the command prints."""
        files = [f"  {name:18} {size:>10,} bytes" for name, size in self.files.items()]
        return "\n".join([f"team        {self.team}", f"folder      {self.folder}", *files])


def export(path: str | Path, out: str, *, onnx: bool, license_id: str | None = None) -> Exported:
    """Write a checkpoint's team where it can be given away.

    Args:
        path: What `checkpoints.locate` understands.
        out: The folder; it must be new or empty.
        onnx: Whether to write `team.onnx` as well.
        license_id: Of the weights, for the page about them.

    Raises:
        ConfigError: If there is no team, no such folder can be made, or a package is missing.
    """
    folder = Path(out).expanduser()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(f"--out: '{out}' is there already; name a new folder, or delete it.")
    checkpoint = locate(path)
    team = _load(checkpoint, onnx)
    result = whole.saved_result(checkpoint)
    team.said.setdefault("trained", {key: result[key] for key in TRAINED if key in result})
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as aside:
            half = Path(aside, "team")
            half.mkdir()
            _write(team, half, onnx, license_id)
            if folder.exists():
                folder.rmdir()
            shutil.move(half, folder)
    except OSError as err:
        raise ConfigError(f"--out: '{out}' cannot be written: {err.strerror}.") from None
    return _exported(folder, team)


def _load(checkpoint: Path, onnx: bool) -> Any:
    """The team, after the checks that cost nothing."""
    from rllib_mmsa.team import MeaninglessFolder, load_team
    from rllib_mmsa.team import onnx as as_onnx

    if onnx and (lacking := as_onnx.missing()):
        raise ConfigError(
            f"team.onnx needs {' and '.join(lacking)}: pip install 'rllib-mmsa[export]', or leave "
            "it out with --no-onnx."
        )
    try:
        return load_team(checkpoint)
    except MeaninglessFolder as err:
        raise ConfigError(str(err)) from None


def _write(team: Any, folder: Path, onnx: bool, license_id: str | None) -> None:
    from rllib_mmsa.team import card, files
    from rllib_mmsa.team import onnx as as_onnx

    files.write(folder, team.said, team.network.state_dict())
    if onnx:
        as_onnx.write(team, folder / as_onnx.FILE)
    text = card.text(team.said, license_id, has_onnx=onnx)
    (folder / card.FILE).write_text(text, encoding="utf-8")


def _exported(folder: Path, team: Any) -> Exported:
    from rllib_mmsa.team import card

    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    return Exported(folder, f"{team.said['algorithm']} on {card.task_of(team.said)}", sizes)
