"""A trained team that answers over HTTP: behind Ray Serve, or by itself (docs/serving.md).

``server.py`` and ``client.py`` need nothing of this package and no Ray; they can be copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rllib_mmsa.serving.client import Client, Refused, Unanswered

if TYPE_CHECKING:
    from rllib_mmsa.serving.ray_serve import app

__all__ = ["Client", "Refused", "Unanswered", "app"]


def __getattr__(name: str) -> Any:
    """``app`` when it is asked for: a client needs no Ray Serve."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rllib_mmsa.serving.ray_serve import app

    return app
