"""Whether StarCraft II can be played here, and what is missing. Imports smacv2 and pysc2 nowhere.

Three things are needed beside this project: the packages smacv2 and pysc2, message classes that
fit the installed protobuf, and the game itself with SMAC's maps.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shlex
import sys
from pathlib import Path

INSTALL = Path(__file__).with_name("install_smacv2.sh")
HELP = f"`sh {shlex.quote(str(INSTALL))}` installs it"
PROTOBUF_HELP = (
    "the s2clientprotocol package does not fit the protobuf that is installed; take the build that "
    "does: pip uninstall s2clientprotocol; pip install --force-reinstall --no-deps "
    "pys2clientprotocol"
)
MAP_FOLDER = "Maps/SMAC_Maps"
BUILD_4_10 = 75689  # the version that the benchmark's published results are on


def game_folder() -> Path:
    """Where pysc2 looks for the game: SC2PATH, or its own default."""
    default = {
        "darwin": "/Applications/StarCraft II",
        "win32": "C:/Program Files (x86)/StarCraft II",
    }.get(sys.platform, "~/StarCraftII")
    return Path(os.environ.get("SC2PATH") or default).expanduser()


def packages_problem() -> str:
    """What keeps smacv2 from being imported; "" if nothing does."""
    missing = [m for m in ("smacv2", "pysc2") if importlib.util.find_spec(m) is None]
    if missing:
        return f"{' and '.join(missing)} not installed: {HELP}"
    needed = ("s2clientprotocol", "absl", "websocket", "portpicker", "mpyq")
    missing = [m for m in needed if importlib.util.find_spec(m) is None]
    if missing:
        return f"pysc2 lacks {', '.join(missing)}: {HELP}"
    return ""


def protobuf_problem() -> str:
    """What keeps the game's message classes from being imported; "" if nothing does."""
    try:
        importlib.import_module("s2clientprotocol.sc2api_pb2")
    except Exception as error:  # protobuf raises TypeError, ImportError and others
        return f"{PROTOBUF_HELP} ({' '.join(str(error).split())[:200]})"
    return ""


def builds(folder: Path) -> list[int]:
    """The build numbers of the game in a folder, newest first."""
    found = [re.fullmatch(r"Base(\d+)", path.name) for path in folder.glob("Versions/Base*")]
    return sorted((int(match[1]) for match in found if match), reverse=True)


def game_problem() -> str:
    """What keeps the game from being found; "" if nothing does."""
    folder = game_folder()
    if not folder.is_dir():
        how = "SC2PATH says so" if os.environ.get("SC2PATH") else "set SC2PATH if it is elsewhere"
        return f"no StarCraft II in {folder} ({how}): {HELP}"
    if not builds(folder):
        return f"{folder} has no Versions/Base*, so it is no StarCraft II: {HELP}"
    return ""


def maps_problem(files: tuple[str, ...]) -> str:
    """Which maps are missing; "" if none is.

    Args:
        files: Names of map files without ".SC2Map".
    """
    folder = game_folder() / "Maps"
    there = {path.stem for path in folder.rglob("*.SC2Map")} if folder.is_dir() else set()
    missing = sorted(set(files) - there)
    if not missing:
        return ""
    return (
        f"no map {', '.join(missing)} in {game_folder() / MAP_FOLDER}: {INSTALL} fetches the maps "
        "(SMACv2's 32x32_flat.SC2Map is in the smacv2 repository's releases)"
    )


def problem() -> str:
    """The first thing that keeps StarCraft II from being played here; "" if nothing does."""
    return packages_problem() or protobuf_problem() or game_problem()
