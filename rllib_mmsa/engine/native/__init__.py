"""The native engine: a whole update, or a step of acting, in one call of compiled C.

It knows exact settings, and not fragments: what it does not know whole is ``plain``
(``verify``). The C files are a second implementation of rllib_mmsa/method; tests/engine holds their
losses and gradients to the plain ones. ``make stamp`` runs these tests and says that they hold.
"""

from __future__ import annotations

from typing import Any

import torch

from rllib_mmsa.engine.native.bindings import unavailable
from rllib_mmsa.engine.native.native import MIXERS, NativeEngine
from rllib_mmsa.method.settings import MMSASettings, Settings

#: Options that are off by default, and not compiled.
PLAIN_ALONE = ("num_models", "gate_rollout", "value_expansion")


def verify(settings: Settings) -> str | None:
    """Why these settings are not known; None if they are known whole."""
    if settings.agent != "rnn":
        return f"agent: {settings.agent} is not compiled"
    if settings.mixer not in MIXERS:
        return f"mixer: {settings.mixer} is not compiled"
    if not isinstance(settings, MMSASettings):
        return None
    if settings.has_model and not settings.use_sale:
        return "a world model without SALE (use_sale: false) is not compiled"
    if settings.has_model and settings.world_model_form != "direct":
        return f"world_model_form: {settings.world_model_form} is not compiled"
    if settings.has_model and settings.observation_head != "joint":
        return f"observation_head: {settings.observation_head} is not compiled"
    if settings.has_model and settings.dynamics_layers != 2:
        return f"dynamics_layers: {settings.dynamics_layers} is not compiled, 2 is"
    for name in PLAIN_ALONE:
        if getattr(settings, name) != getattr(MMSASettings, name):
            return f"{name}: {getattr(settings, name)} is not compiled"
    if settings.use_sale and settings.normaliser != "avg_l1":
        return f"normaliser: {settings.normaliser} is not compiled"
    return None


def unfit(settings: Settings, device: torch.device) -> str | None:
    """Why this cannot be computed here; None if it can."""
    if device.type != "cpu":
        return f"the device is {device}, and compiled C runs on a CPU"
    return unavailable() or verify(settings)


def make(module: Any, learner: Any, threads: int) -> NativeEngine:
    """The engine for a module of settings that ``unfit`` has nothing against."""
    return NativeEngine(module, threads, learns=learner is not None)
