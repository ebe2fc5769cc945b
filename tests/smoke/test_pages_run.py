"""Every `python` block of a page runs as it is printed, page by page, from top to bottom.

What a page presumes (a class of the reader's own, a trained team) is set up by `GIVEN`; where a
page trains for long, `SHORTER` trains less.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ray.tune.registry import ENV_CREATOR, _global_registry, register_env

import env_registry
from env_registry.contract import as_grouped_env, check_env
from env_registry.toy import TwoStepEnv
from tests import pages
from tests.algorithms import build
from tests.envs.legacy_two_step import OldTwoStepGame

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.slow, pytest.mark.timeout(900)]

#: (printed, run instead), where a page trains for minutes.
SHORTER = {
    "README.md": [
        ("range(10)", "range(2)"),
        (".training(lr=1e-3,", ".evaluation(evaluation_duration=4)\n    .training(lr=1e-3,"),
    ],
    "docs/search.md": [
        ("20_000", "1_000"),
        ("5_000", "500"),
        ('"seed": 1}', '"seed": 1, "evaluation_duration": 4}'),
        ("RunConfig(", "RunConfig(storage_path=RESULTS, "),  # not in the user's own results
    ],
}
REMEDY = (
    "correct the block; what it presumes belongs into GIVEN in tests/smoke/test_pages_run.py; if "
    "it cannot be run, write why on the line above it: `<!-- not run: ... -->`"
)
BLOCKS = pages.to_run("python")


class VectorEnv:
    """What a reader's own environment of many episodes is called with."""

    def __init__(self, num_envs: int, **config: Any):
        self.num_envs = num_envs


def _old_game(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    module = types.ModuleType("my_game")
    module.MyGame = lambda config: OldTwoStepGame()
    monkeypatch.setitem(sys.modules, "my_game", module)
    return {}


def _environments(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    env = env_registry.make("lbf", task="8x8-2p-2f-v2")
    own = {"MyEnv": TwoStepEnv, "MyVectorEnv": VectorEnv, "register_env": register_env}
    return {"env": env, **own}


def _team(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"MyEnv": lambda: env_registry.make("lbf", task="8x8-2p-2f-v2")}


#: What the reader of a page has: names of the page's blocks. `my_checkpoint` and `my_team`, of
#: `8x8-2p-2f-v2`, are in every page's folder.
GIVEN: dict[str, Callable[[pytest.MonkeyPatch], dict[str, Any]]] = {
    "docs/cli.md": lambda _: {"MyEnv": TwoStepEnv},
    "docs/environments.md": _environments,
    "docs/environments/old_qmix.md": _old_game,
    "docs/search.md": lambda _: {"RESULTS": os.path.abspath("results")},
    "docs/teams.md": _team,
    "docs/tutorial.md": lambda _: {"task": "5x5-2p-1f-v2"},
}


def _check_readme(given: dict[str, Any]) -> None:
    assert 0 <= given["total"] <= 1 and given["config"].rollout_horizon == 3


def _check_environments(given: dict[str, Any]) -> None:
    assert len(given["env"].observation_layout) == 3
    check_env(given["env"])
    assert _global_registry.get(ENV_CREATOR, "my_game").make_vec(3, {}).num_envs == 3


def _check_old_game(given: dict[str, Any]) -> None:
    env = as_grouped_env(_global_registry.get(ENV_CREATOR, "my_old_env")({}))
    check_env(env)
    assert env.n_agents == 2


def _check_search(given: dict[str, Any]) -> None:
    assert len(given["results"]) == 4 and not given["results"].errors
    assert given["best"].metrics["num_env_steps_sampled_lifetime"] >= 1000


def _check_team(given: dict[str, Any]) -> None:
    actions = given["team"].act(given["observations"])
    assert actions.shape == (2,) and actions.dtype == np.int64


def _check_tutorial(given: dict[str, Any]) -> None:
    assert 0 <= given["total"] <= 1


#: What is true after a page.
THEN: dict[str, Callable[[dict[str, Any]], None]] = {
    "README.md": _check_readme,
    "docs/cli.md": lambda _: check_env(_global_registry.get(ENV_CREATOR, "my_env")({})),
    "docs/environments.md": _check_environments,
    "docs/environments/old_qmix.md": _check_old_game,
    "docs/search.md": _check_search,
    "docs/teams.md": _check_team,
    "docs/tutorial.md": _check_tutorial,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, ray_session):
    """Checkpoints of small teams, by their task."""
    pytest.importorskip("lbforaging")
    folders = {}
    for task in ("8x8-2p-2f-v2", "5x5-2p-1f-v2"):
        algorithm = build("MMSA", env="lbf", env_config={"task": task})
        folders[task] = tmp_path_factory.mktemp("trained") / "checkpoint_000000"
        algorithm.save_to_path(str(folders[task]))
        algorithm.stop()
    return folders


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS}))
def test_the_python_of_a_page_runs(page, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = GIVEN.get(page, lambda _: {})(monkeypatch)
    task = given.pop("task", "8x8-2p-2f-v2")
    (tmp_path / "tuned_examples").symlink_to(pages.ROOT / "tuned_examples")
    for name in ("my_checkpoint", "my_team"):
        shutil.copytree(trained[task], tmp_path / name)
    for block in (block for block in BLOCKS if block.page == page):
        run(block, given)
    if page in THEN:
        THEN[page](given)


def run(block: pages.Block, given: dict[str, Any]) -> None:
    """Runs a block; its last line may say `# raises NAME`."""
    code = block.code
    for printed, instead in SHORTER.get(block.page, []):
        code = code.replace(printed, instead)
    raises = re.search(r"# raises (\w+)[^\n]*\s*\Z", code)
    # As many empty lines before it as the page has, so that a traceback names the page's line.
    compiled = compile("\n" * block.line + code, str(pages.ROOT / block.page), "exec")
    try:
        exec(compiled, given)
    except Exception as error:
        if raises and raises[1] in [each.__name__ for each in type(error).__mro__]:
            return
        reason = f"{type(error).__name__}: {error}"
    else:
        if not raises:
            return
        reason = f"it should raise {raises[1]}"
    pytest.fail(f"{block.where}: {reason}\nRemedy: {REMEDY}", pytrace=False)


def test_what_is_shortened_is_printed():
    for page, changes in SHORTER.items():
        text = "".join(block.code for block in BLOCKS if block.page == page)
        assert text and not [printed for printed, _ in changes if printed not in text]


def test_a_block_that_fails_names_its_line_and_the_remedy():
    text = "Text\n```python\nx = 1\ny = z\n```\n```python\nint('a')  # raises ValueError\n```\n"
    wrong, right = pages.blocks_of(text, "page.md")
    run(right, {})
    with pytest.raises(pytest.fail.Exception, match=r"page.md:2: NameError.*z.*\nRemedy: correct"):
        run(wrong, {})
