"""Plays a team.onnx with NumPy and ONNX Runtime alone: observations in, actions out, by pipes.

    python onnx_player.py PAGE TEAM.ONNX

PAGE is docs/teams.md, whose player is run as it is printed. Each line on stdin is a JSON object
with "obs" and "action_mask", or "first" at the beginning of an episode; each on stdout the actions.
"""

import json
import re
import sys

for name in ("torch", "ray", "rllib_mmsa"):
    sys.modules[name] = None  # an import of it fails

page, file = sys.argv[1:]
blocks = re.findall(r"```python\n(.*?)```", open(page, encoding="utf-8").read(), re.DOTALL)
player: dict = {}
exec(next(b for b in blocks if "onnxruntime" in b).replace("my_team/team.onnx", file), player)
for line in sys.stdin:
    said = json.loads(line)
    if said.get("first"):
        player["memory"].update(player["FIRST"])
        continue
    print(json.dumps(player["act"](said["obs"], said["action_mask"]).tolist()), flush=True)
