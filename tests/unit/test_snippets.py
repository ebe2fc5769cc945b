"""Every command and snippet of a page is run by a test, or checked, or says why it is not.

`python` blocks run in tests/smoke/test_pages_run.py, or in the tests that tests/pages.py names.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

import env_registry
from rllib_mmsa.command.experiment.structure import EXPERIMENT_KEYS
from rllib_mmsa.command.experiment.yaml_text import parse_yaml
from tests import commands, pages
from tests.pages import ROOT, Block

#: What a page's example imports and is a user's own.
USERS_OWN = {"my_package/__init__.py": "", "my_package/envs.py": ""}
NOT_RUN = "if it cannot be run, write why on the line above it: `<!-- not run: ... -->`"
REMEDIES = {
    "shell": f"correct the command, or teach tests/commands.py to check it; {NOT_RUN}",
    "yaml": f"correct the experiment or the part of one; {NOT_RUN}",
}
#: Packages that loggers and search algorithms need.
PACKAGES = {"wandb": "wandb", "mlflow": "mlflow", "optuna": "optuna"}


def parameters(kind: str):
    return pytest.mark.parametrize("block", pages.to_run(kind), ids=lambda block: block.where)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to stand in that looks like the repository, and takes the files of a page."""
    for name in ("tuned_examples", "docs", "scripts", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name, text in USERS_OWN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for block in pages.blocks():  # another test may have imported a page's file from elsewhere
        monkeypatch.delitem(sys.modules, block.file.removesuffix(".py"), raising=False)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def put_files(page: str, folder: Path) -> None:
    """Writes the files that a page shows."""
    for block in pages.blocks([ROOT / page]):
        if block.file:
            (folder / block.file).write_text(block.code, encoding="utf-8")


def checked(block: Block, line: str) -> None:
    try:
        return commands.check(line)
    except AssertionError as error:
        reason = f"`{line}`\n{error}"
    failed(block, reason)


def failed(block: Block, reason: object) -> None:
    pytest.fail(f"{block.where}: {reason}\nRemedy: {REMEDIES[block.kind]}", pytrace=False)


def test_every_block_is_of_a_kind_that_is_checked():
    for block in pages.blocks():
        assert block.kind in ("shell", "python", "yaml", "words"), (
            f"{block.where}: no test knows blocks of {block.language!r}; add a check to "
            f"tests/unit/test_snippets.py, or call the block `text`; {NOT_RUN}"
        )


def test_a_reason_is_given_for_what_is_not_run():
    marked = [block for block in pages.blocks() if block.not_run is not None]
    assert marked and all(len(block.not_run.split()) > 2 for block in marked)
    assert not [block.where for block in marked if block.run_by], "it is run: take the comment off"


@pytest.mark.parametrize(("page", "words", "test"), pages.RUN_BY)
def test_the_tests_that_run_a_block_are_there(page, words, test):
    found = [block.where for block in pages.blocks([ROOT / page]) if words in block.code]
    assert len(found) == 1, f"{page}: {len(found)} blocks have {words!r}; correct tests/pages.py"
    file, _, function = test.partition("::")
    assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8")


@parameters("shell")
def test_a_command_of_a_page_would_be_taken(block, folder):
    put_files(block.page, folder)
    for line in commands.lines_of(block.code):
        checked(block, line)


@parameters("yaml")
def test_an_experiment_of_a_page_would_start(block, folder):
    put_files(block.page, folder)
    written = parse_yaml(block.code, block.where)
    experiments = as_experiments(block, written)
    skip_without_packages(block, experiments)
    (folder / "as_printed.yaml").write_text(
        block.code if experiments is written else yaml.safe_dump(experiments), encoding="utf-8"
    )
    checked(block, "rllib train file as_printed.yaml")


def as_experiments(block: Block, written: dict) -> dict:
    """What a block says, as a file: an experiment is one, a part of one is put into one."""
    entries = [entry for key, entry in written.items() if key != "import"]
    if all(isinstance(entry, dict) and "run" in entry for entry in entries):
        return written
    stop = {"num_env_steps_sampled_lifetime": 500_000}
    if set(written) <= set(EXPERIMENT_KEYS):
        return {"part": {"run": "MMSA", "env": "two_step", "stop": stop, **written}}
    of_page = env_registry.ENVIRONMENTS.get(Path(block.page).stem)
    if of_page and set(written) <= set(of_page.options):
        config = {"env_config": written}
        return {"part": {"run": "MMSA", "env": of_page.name, "stop": stop, "config": config}}
    return failed(block, f"{sorted(written)} are keys neither of a file nor of an experiment")


def skip_without_packages(block: Block, experiments: dict) -> None:
    """The checks refuse what is not installed, as they should."""
    for entry in experiments.values():
        if not isinstance(entry, dict):
            continue
        for name, package in PACKAGES.items():
            if re.search(rf"\b{name}\b", block.code):
                pytest.importorskip(package)
        task = (entry.get("config") or {}).get("env_config", {}).get("task")
        if entry["env"] in env_registry.ENVIRONMENTS:
            there, reason = env_registry.installed(entry["env"], task)
            if not there:
                pytest.skip(reason)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rllib train file tuned_examples/mmsa_lbff.yaml", "no tuned_examples/mmsa_lbff.yaml"),
        ("rllib train file tuned_examples/mmsa_lbf.yaml config.gama=1", "Did you mean 'gamma'"),
        ("rllib train --algo QMIX --env two_stepp", "two_step"),
        ("rllib train resume x --resumee", "No such option"),
        ("rllib evaluate x --epsiodes 3", "No such option"),
        ("rllib report docs/results/data/none.csv --out x", "there is no docs/results"),
        ("rllib envs check lfb", "no environment lfb"),
        ("make bnech", "bnech"),
        ("make bench ARGS=--quik", "No such option"),
        ("python -m benchmarks.smax_samplin", "no module"),
        ("python -m benchmarks.memory_over_time --algo QMIX --step 3 --stp 4", "stp"),
        ("pip install -c constraint.txt -e .", "no constraint.txt"),
        ("pip install 'rllib-mmsa[lfb]'", "lfb"),
        ("curl x", "no test knows the program"),
    ],
)
def test_a_wrong_command_is_found(line, words, folder):
    with pytest.raises(AssertionError, match=re.escape(words)):
        commands.check(line)


def test_blocks_are_read_with_their_marks_and_names():
    text = (
        "1. `a.yaml`, here:\n\n    ```yaml\n    a: {b: 1}\n    ```\n\n"
        "<!-- not run: a game is needed -->\n```bash\nrllib envs  # all\n```\n"
        "```\nreturn 0.3\n```\n```\nrllib x \\\n  --y\n```\n"
    )
    experiment, marked, printed, plain = pages.blocks_of(text, "p.md")
    assert (experiment.where, experiment.file) == ("p.md:3", "a.yaml")
    assert experiment.code == "a: {b: 1}\n" and experiment.kind == "yaml"
    assert marked.not_run == "a game is needed" and marked.kind == "shell"
    assert (printed.kind, plain.kind) == ("words", "shell")
    assert experiment.not_run is None is plain.not_run
    assert commands.lines_of(marked.code + plain.code) == ["rllib envs", "rllib x --y"]
