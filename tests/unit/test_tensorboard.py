"""TensorBoard's axis is env steps, of curves and of pictures alike."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from ray.tune.logger import TBXLoggerCallback

from rllib_mmsa.command.imagine.tensorboard import FOLDER, ImaginedPictures
from tests.algorithms import build

pytest.importorskip("tensorboard")
pytestmark = pytest.mark.usefixtures("ray_session")


class Trial:
    """What the loggers ask of Tune's."""

    evaluated_params: dict = {}
    config: dict = {}

    def __init__(self, folder):
        self.local_path = str(folder)

    def init_local_path(self):
        pass


def steps(folder, kind: str, tag: str) -> list[int]:
    """At which steps TensorBoard shows a curve or a picture."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.step for event in getattr(events, kind)(tag)]


def test_curves_and_pictures_are_over_env_steps_also_after_a_checkpoint(tmp_path):
    settings = {"min_sample_timesteps_per_iteration": 100, "evaluation_interval_env_steps": 100}
    algorithm = build("QMIX", "two_step", **settings, evaluation_duration=2)
    trial, logger, pictures = Trial(tmp_path), TBXLoggerCallback(), ImaginedPictures()
    file = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(file, format="PNG")
    rows = [algorithm.train(), algorithm.train()]
    path = algorithm.save_to_path(tmp_path / "checkpoint")
    algorithm.stop()
    resumed = type(algorithm).from_checkpoint(path)
    rows.append(resumed.train())
    resumed.stop()
    for iteration, row in enumerate(rows):
        row["imagined_png"] = file.getvalue()
        pictures.on_trial_result(iteration, [trial], trial, row)
        logger.log_trial_result(iteration, trial, row)
    logger.log_trial_end(trial)
    wanted = [int(row["num_env_steps_sampled_lifetime"]) for row in rows]
    assert wanted[0] >= 100 and len(set(wanted)) == 3
    assert steps(tmp_path, "Scalars", "ray/tune/test_return") == wanted
    assert steps(tmp_path, "Scalars", "ray/tune/env_runners/episode_return_mean") == wanted
    assert steps(tmp_path / FOLDER, "Images", "imagined") == wanted
