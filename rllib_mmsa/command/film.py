"""`rllib evaluate --render`: the first episodes as a film, with step and return over each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from env_registry.draw import with_words
from rllib_mmsa.errors import ConfigError

MAX_EPISODES = 5
FRAME_MS, LAST_FRAME_MS = 150, 900  # how long a picture is shown, and one that ends an episode


class Film:
    """Collects the frames of the first episodes and writes them as a GIF.

    Args:
        title: What is played, over each picture.
    """

    def __init__(self, title: str = "") -> None:
        self.title = title
        self._frames: list[Any] = []
        self._shown_ms: list[int] = []
        self._episodes = 0

    def __deepcopy__(self, memo: dict) -> Film:
        """RLlib copies the options, and these methods with them; the film stays one."""
        return self

    def on_episode_start(self, *, episode: Any, env: Any, env_index: int, **kwargs: Any) -> None:
        """Count the episode and take its first frame."""
        if self._shown_ms:
            self._shown_ms[-1] = LAST_FRAME_MS
        self._episodes += 1
        self.on_frame(episode=episode, env=env, env_index=env_index)

    def on_frame(self, *, episode: Any, env: Any, env_index: int, **kwargs: Any) -> None:
        """Take a frame, as long as the film is not full."""
        if self._episodes > MAX_EPISODES:
            return
        frame = env.envs[env_index].render()
        if frame is None:
            raise ConfigError("--render: this environment's render() returns no picture.")
        words = (
            f"episode {self._episodes}   step {episode.env_t - episode.env_t_started}   "
            f"return {episode.get_return():.2f}"
        )
        self._frames.append(with_words(with_words(frame, words), self.title))
        self._shown_ms.append(FRAME_MS)

    def save(self, path: Path) -> None:
        """Write the film."""
        from PIL import Image

        self._shown_ms[-1] = LAST_FRAME_MS
        pictures = [Image.fromarray(frame) for frame in self._frames]
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=self._shown_ms, loop=0
        )
