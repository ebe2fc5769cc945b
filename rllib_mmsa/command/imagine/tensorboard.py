"""Pictures of what was imagined, from a trial's results into its TensorBoard folder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from rllib_mmsa.command.run.progress import STEPS
from rllib_mmsa.rllib.metrics import IMAGINED_PNG

FOLDER = "imagined"  # a separate run: TensorBoard reads one event file per folder


class ImaginedPictures(Callback):
    """Takes the picture out of a result, so that no log holds its bytes, and writes it.

    It must stand before Tune's loggers.
    """

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any
    ) -> None:
        """Write the picture of a result that has one."""
        picture = result.pop(IMAGINED_PNG, None)
        if picture is None:
            return
        import numpy as np
        from PIL import Image
        from tensorboardX import SummaryWriter

        pixels = np.asarray(Image.open(io.BytesIO(picture)))
        # Opened and closed each time: pictures are rare, and Tune pickles this callback. A file is
        # named by its second, so that two pictures of one second would be one without more.
        steps = int(result[STEPS])
        folder = str(Path(trial.local_path, FOLDER))
        with SummaryWriter(folder, filename_suffix=f".{steps:012}") as writer:
            writer.add_image("imagined", pixels, steps, dataformats="HWC")
