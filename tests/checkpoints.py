"""Checkpoints with no more in them than is looked at."""

from __future__ import annotations

import pickle
from pathlib import Path

from rllib_mmsa import whole


def make_checkpoint(folder: Path, iteration: int = 1) -> Path:
    """A whole one, which says of what it consists, as a run writes it."""
    for part in (whole.CLASS_FILE, "algorithm_state.pkl", f"{whole.MODULE_FOLDER}/state.pkl"):
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / part).write_bytes(pickle.dumps({"part": part}))
    (folder / whole.METADATA[0]).write_text("{}")
    whole.mark(folder, {"training_iteration": iteration, "config": {}})
    return folder
