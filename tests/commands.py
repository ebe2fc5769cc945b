"""Whether a command line that a page shows would be taken: options, files, targets, extras."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import env_registry
from rllib_mmsa.command.cli import app
from rllib_mmsa.command.cli import train as train_command

ROOT = Path(__file__).resolve().parents[1]
#: Commands that are quick and change nothing: they run as they are.
HARMLESS = ("envs", "algorithms", "examples", "docs")


class Taken(BaseException):
    """The line was taken; what it would do is not done."""


def lines_of(code: str) -> list[str]:
    """The commands of a block, each on one line; of a console those behind a prompt."""
    lines = code.replace("\\\n", " ").splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    found = (shlex.join(shlex.split(line, comments=True)) for line in prompted or lines)
    return [line for line in found if line]


def check(line: str) -> None:
    """Fails where a command would not be taken as it stands, from the folder of the repository.

    Raises:
        AssertionError: with the reason.
    """
    program, *args = shlex.split(line)
    if ">" in args:  # where its output goes
        args = args[: args.index(">")]
    assert program in CHECKS, f"no test knows the program {program!r} (tests/commands.py)"
    CHECKS[program](args)


def _rllib(args: list[str]) -> None:
    for arg in args:
        if re.match(r"(docs|tuned_examples|scripts|benchmarks)/", arg):
            assert (ROOT / arg).exists(), f"there is no {arg}"
    if args[0] == "train" and args[1] != "resume":
        return _train(args)
    if args[0] in HARMLESS and args[1:2] != ["check"]:
        done = CliRunner().invoke(app, args)
        assert done.exit_code == 0, done.output
        return None
    if args[:2] == ["envs", "check"]:
        assert args[2] in env_registry.ENVIRONMENTS, f"there is no environment {args[2]}"
    return _parse(app, args)


def _train(args: list[str]) -> None:
    """All that the command checks before it starts Ray."""
    checked = []

    def only_check(experiments: Any, **options: Any) -> None:
        train_command._check(experiments, options["ray_address"], options["num_cpus"])
        checked.append(experiments)

    if "--restore" in args:  # of which the checkpoint is not there
        _parse(app, args)
        at = args.index("--restore")
        args = args[:at] + args[at + 2 :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_command, "_train", only_check)
        done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    assert checked or "--dry-run" in args


def _parse(parser: typer.Typer, args: Sequence[str]) -> None:
    """Fails where a command line does not parse."""
    command = typer.main.get_command(parser)
    _instead(command, Taken())
    try:
        command.main(list(args), prog_name="rllib", standalone_mode=False)
    except Taken:
        return
    except Exception as error:  # a usage error, whose class is typer's own affair
        said = error.format_message() if hasattr(error, "format_message") else repr(error)
        raise AssertionError(f"{shlex.join(args)}: {said}") from None
    raise AssertionError(f"{shlex.join(args)}: no command was called")


def _instead(command: Any, answer: Taken) -> None:
    """Lets every command below one raise `answer` instead of doing its work."""

    def raise_it(*args: Any, **kwargs: Any) -> None:
        raise answer

    below = getattr(command, "commands", {})
    for each in below.values():
        _instead(each, answer)
    if not below:
        command.callback = raise_it


def _python(args: list[str]) -> None:
    if args[0] != "-m":
        assert (ROOT / args[0]).is_file(), f"there is no {args[0]}"
        return
    name, rest = args[1], args[2:]
    if name == "rllib_mmsa":
        return _rllib(rest)
    assert importlib.util.find_spec(name), f"there is no module {name}"
    module = importlib.import_module(name)
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{name}.__main__")
    if hasattr(module, "app"):
        _parse(module.app, rest)
    elif inspect.signature(module.main).parameters:
        own = typer.Typer()
        own.command()(module.main)
        _parse(own, rest)
    else:
        _parse_by_argparse(module.main, name, rest)


def _parse_by_argparse(main: Callable[[], Any], name: str, args: list[str]) -> None:
    whole = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser: argparse.ArgumentParser, *given: Any) -> None:
        parser.exit_on_error = False
        whole(parser, *given)
        raise Taken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *args])
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
        try:
            main()
        except Taken:
            return
        except (SystemExit, argparse.ArgumentError) as error:
            raise AssertionError(f"python -m {name} {shlex.join(args)}: {error}") from None
    raise AssertionError(f"{name} parsed nothing")


def _make(args: list[str]) -> None:
    """`make` says what it would do; benchmarks among it are checked in turn."""
    # Without what a make around these tests was given.
    env = {k: v for k, v in os.environ.items() if k not in ("ARGS", "EXTRAS", "MAKEFLAGS")}
    done = subprocess.run(["make", "-n", *args], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        if "/python -m benchmarks" in line:
            _python(shlex.split(line)[1:])


def _pip(args: list[str]) -> None:
    assert args[0] == "install", f"pip {args[0]} is not known to tests/commands.py"
    told = (ROOT / "pyproject.toml").read_text("utf-8").split("[project.optional-dependencies]")[1]
    known = set(re.findall(r"^([\w-]+) = \[", told.split("\n[")[0], re.M))
    for before, arg in zip(["", *args], args, strict=False):
        if before in ("-c", "-r"):
            assert (ROOT / arg).is_file(), f"there is no {arg}"
        for named in re.findall(r"^(?:\.|rllib-mmsa)\[(.*)\]$", arg):
            wrong = set(named.split(",")) - known
            assert not wrong, f"pyproject.toml has no extra {sorted(wrong)}"


def _tensorboard(args: list[str]) -> None:
    assert args[0] == "--logdir" and len(args) == 2, "only `tensorboard --logdir DIR` is known"


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "rllib": _rllib,
    "python": _python,
    "make": _make,
    "pip": _pip,
    "tensorboard": _tensorboard,
}
