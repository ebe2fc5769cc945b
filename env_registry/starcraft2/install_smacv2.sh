#!/bin/sh
# Installs SMACv2 beside Ray 2.60: Python packages, StarCraft II 4.10 for Linux, SMAC's maps.
# Run it in the Python environment that has rllib-mmsa. What is there already is left as it is.
#
#   sh env_registry/starcraft2/install_smacv2.sh             everything
#   sh env_registry/starcraft2/install_smacv2.sh --packages  only the Python packages
#
#   SC2PATH        where the game is, or goes to (default ~/StarCraftII)
#   PYTHON         default: python
#   SMACV2_SOURCE  smacv2's source, for pip (default: its GitHub repository)
#
# The game is proprietary. By unpacking it one accepts Blizzard's AI and Machine Learning License
# (https://blzdistsc2-a.akamaihd.net/AI_AND_MACHINE_LEARNING_LICENSE.html); the password of the
# archive, which this script asks for, is the sentence that says so: "iagreetotheeula".
set -eu

PYTHON=${PYTHON:-python}
SC2PATH=${SC2PATH:-$HOME/StarCraftII}
SMACV2_SOURCE=${SMACV2_SOURCE:-git+https://github.com/oxwhirl/smacv2.git}
GAME=https://blzdistsc2-a.akamaihd.net/Linux/SC2.4.10.zip
MAPS=https://github.com/oxwhirl/smac/releases/download/v0.1-beta1/SMAC_Maps.zip
MAPS_V2=https://github.com/oxwhirl/smacv2/releases/download/maps/SMAC_Maps.zip
constraints=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)/constraints.txt # of a clone
[ -f "$constraints" ] || constraints=/dev/null

# pysc2 and smacv2 ask for an old protobuf, which TensorBoard refuses: they are installed without
# their dependencies, and those that they need by name. pys2clientprotocol is s2clientprotocol (the
# same import name), built for protobuf 6 and 7.
"$PYTHON" -m pip uninstall --yes s2clientprotocol >/dev/null 2>&1 || true
"$PYTHON" -m pip install -c "$constraints" absl-py mpyq portpicker websocket-client
"$PYTHON" -m pip install --no-deps pysc2==4.0.0 pys2clientprotocol==1.0.2 "$SMACV2_SOURCE"
"$PYTHON" -c 'import smacv2.env' || { echo "smacv2 cannot be imported, see above" >&2; exit 1; }
[ "${1:-}" = --packages ] && exit 0

unpack() { # URL FOLDER [PASSWORD]
    archive=$(mktemp)
    curl --fail --location --output "$archive" "$1"
    unzip -q -o ${3:+-P "$3"} "$archive" -d "$2"
    rm -f "$archive"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! ls -d "$SC2PATH"/Versions/Base* >/dev/null 2>&1; then
    printf 'Password of StarCraft II (iagreetotheeula, if you do): '
    read -r password
    unpack "$GAME" "$work/game" "$password"
    mkdir -p "$SC2PATH"
    cp -r "$work"/game/StarCraftII/. "$SC2PATH"
fi

maps=$SC2PATH/Maps/SMAC_Maps
mkdir -p "$maps"
if [ ! -e "$maps/32x32_flat.SC2Map" ]; then
    unpack "$MAPS_V2" "$work/maps"
    find "$work/maps" -name '*.SC2Map' -exec cp {} "$maps" \;
fi
if [ ! -e "$maps/3m.SC2Map" ]; then
    unpack "$MAPS" "$work/maps"
    find "$work/maps" -name '*.SC2Map' -exec cp {} "$maps" \;
fi

echo
echo "Add to your shell's profile:  export SC2PATH=$SC2PATH"
SC2PATH=$SC2PATH "$PYTHON" -m rllib_mmsa envs check smacv2
