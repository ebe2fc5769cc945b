"""Text that is no configuration: one message each, never a traceback. No Ray, no torch."""

import base64
import math
import os
import threading

import pytest

from rllib_mmsa.command.experiment.files import load_file, parse_option, read_record
from rllib_mmsa.command.experiment.structure import folder_name, parse_experiment
from rllib_mmsa.command.experiment.yaml_text import parse_yaml
from rllib_mmsa.errors import ConfigError, unknown

MINIMAL = {"run": "QMIX", "env": "two_step"}
LAUGHS = "\n".join(f"k{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]" for i in range(9))
TEXTS = {
    "a: " + "9" * 10_000: "line 1: 999999999999... has 10,000 digits",
    "a: 0x" + "f" * 400: "digits; a whole number has at most 18 here",
    "[" * 5_000 + "]" * 5_000: "nested deeper than 40 levels",
    "\n".join(" " * i + "a:" for i in range(100)): "nested deeper than 40 levels",
    "&a [*a]": "line 1: the value refers to itself",
    "a: &x\n  b: [{c: *x}]": "line 1: the value refers to itself",
    "a0: &a0 [1]\n" + "\n".join(f"b{i}: &a{i} [*a{i - 1}]" for i in range(1, 99)): "nested deeper",
    f"k0: &a0 [1]\n{LAUGHS}": "holds more than 100,000 values",
    "a: !!python/object/apply:os.system [ls]": "the tag '!!python/object/apply:os.system' has no",
    "a: !mine 1": "the tag '!mine' has no meaning here; leave it out",
    "a: !!set {b}": "the tag '!!set' has no meaning",
    f"a: !!binary {base64.b64encode(b'x').decode()}": "the tag '!!binary' has no meaning",
    "a: !!int x": "a value that is not what its tag says",
    "a: !!bool x": "a value that is not what its tag says",
    "a:\n\tb: 1": "in line 2: found character '\\t'",
    "a: \0": "character 4 (U+0000) cannot stand in it",
    "a: 1\n---\nb: 2": "in line 2: a second document begins ('---')",
    "a: *b": "in line 1: found undefined alias 'b'",
    "1: a\n1: b": "line 2: the key '1' appears twice",
    "null: 1\n~: 2": "line 2: the key '~' appears twice",
    "[a]: 1": "a list or a mapping stands as a key; a key is text",
    "? {a: 1}\n: 2": "a list or a mapping stands as a key; a key is text",
    "<<: 3": "expected a mapping or list of mappings for merging",
    "%YAML 3.0\n---\na: 1": "incompatible YAML document",
}


@pytest.mark.parametrize("text", TEXTS, ids=TEXTS.values())
@pytest.mark.parametrize("where", ["file", "--config", "--stop"])
def test_what_is_no_configuration_is_refused(tmp_path, where, text):
    with pytest.raises(ConfigError) as error:
        if where == "file":
            (tmp_path / "f.yaml").write_text(text)
            load_file(tmp_path / "f.yaml")
        else:
            parse_option(text, where)
    assert TEXTS[text] in str(error.value)
    assert where in str(error.value) or "f.yaml" in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\ufeffa: 1", {"a": 1}),
        ("a: 2024-01-31", {"a": "2024-01-31"}),
        ("a: =", {"a": "="}),
        ("a: 5e-4", {"a": 5e-4}),
        ("a: 9007199254740993", {"a": 9007199254740993}),
        ("a: .inf", {"a": math.inf}),
        ("x: &x {b: 1}\ny: {<<: *x, c: *x}", {"x": {"b": 1}, "y": {"b": 1, "c": {"b": 1}}}),
    ],
)
def test_what_is_a_configuration_is_read(text, value):
    assert parse_yaml(text, "here") == value


@pytest.mark.parametrize("content", [b"a: \xff\xfe", b"\xff\xfea\0:\0", bytes(range(128, 256))])
def test_a_file_that_is_no_text_is_refused(tmp_path, content):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"b: 1\n" + content)
    with pytest.raises(ConfigError, match="line 2 is not UTF-8; save it as UTF-8"):
        load_file(path)


def test_a_file_without_end_or_without_a_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="more than 1,000,000 bytes"):
        load_file("/dev/zero")
    with pytest.raises(ConfigError, match="File name too long"):
        load_file("x" * 300)
    with pytest.raises(ConfigError, match="is a directory"):
        load_file("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ConfigError, match="no experiment file"):
        load_file(tmp_path / "loop")


def test_a_pipe_is_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("a: {run: QMIX, env: lbf}",))
    writer.start()
    assert [found.run for found in load_file(pipe)] == ["QMIX"]
    writer.join()


@pytest.mark.parametrize("name", ["1", "null", "true", "1.5", "2024"])
def test_an_experiments_name_is_text(tmp_path, name):
    (tmp_path / "f.yaml").write_text(f"{name}: {{run: QMIX, env: lbf}}")
    with pytest.raises(ConfigError, match="a key must be text, but is .*; put it in quotes"):
        load_file(tmp_path / "f.yaml")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "...",
        ".hidden",
        "-n",
        "a/b",
        "/",
        "a\nb",
        "a\n",
        "a\0",
        "a b",
        "=ls",
        "~",
        "*",
    ],
)
def test_a_name_that_is_no_folders_is_refused(name):
    with pytest.raises(ConfigError, match="becomes a folder: use letters, digits, _ . -"):
        parse_experiment(name, dict(MINIMAL))


@pytest.mark.parametrize("name", ["x" * 300, "\u00e4" * 70])
def test_a_name_that_is_too_long_is_refused(name):
    with pytest.raises(ConfigError, match="at most 120 bytes") as error:
        parse_experiment(name, dict(MINIMAL))
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("name", ["a", "mmsa_lbf", "run-1.2", "lr=0.1", "9", "\u00e4", "x" * 120])
def test_a_name_of_a_folder_is_taken(name):
    assert parse_experiment(name, dict(MINIMAL)).path.name == name


def test_the_name_made_of_any_environments_name_is_one_of_a_folder():
    assert folder_name("QMIX_my/Env v1:x") == "qmix_my_env_v1_x"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"stop": {"training_iteration": math.inf}}, "must be a finite number, but is inf"),
        ({"stop": {"win_rate": math.nan}}, "must be a finite number, but is nan"),
        ({"stop": {1: 2}}, "a: stop: a key must be text, but is a whole number (1)"),
        ({"num_samples": math.inf}, "num_samples must be a whole number, but is a number (inf)"),
        ({"config": {None: 2}}, "a: config: a key must be text, but is empty (None)"),
        ({"storage_path": "~nobody_of_this_name/x"}, "is no path"),
        ({"storage_path": "a\0b"}, "is no path"),
    ],
)
def test_values_that_are_none_are_refused(entry, words):
    with pytest.raises(ConfigError) as error:
        parse_experiment("a", {**MINIMAL, **entry})
    assert words in str(error.value)


def test_a_message_obeys_no_control_character_and_shortens_what_it_quotes():
    assert str(ConfigError("a\x1b[31mb\u202ec\nd")) == "a\\x1b[31mb\\u202ec\nd"
    text = str(unknown("key", "x" * 5_000 + "\n", ["lr"]))
    assert len(text) < 120 and "\n" not in text


def test_a_folder_of_results_may_have_been_given_any_name(tmp_path):
    with pytest.raises(ConfigError, match="becomes a folder"):
        parse_experiment("my run (2)", dict(MINIMAL))
    assert parse_experiment("my run (2)", dict(MINIMAL), exists=True).path.name == "my run (2)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "a: {run: QMIX}\nb: {run: VDN}",
            "must hold the one experiment of its folder, but holds 2",
        ),
        ("a: 3", "must be a mapping"),
        ("a: [", "is not valid YAML"),
        ("", "must be a mapping"),
    ],
)
def test_a_record_that_somebody_has_changed_is_refused_in_words(tmp_path, text, words):
    (tmp_path / "experiment.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        read_record(tmp_path / "experiment.yaml")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--config", "{env_config: 3}", "--env-config", "{a: 1}"], "env_config must be a mapping"),
        (["--config", "[1]"], "--config must be a mapping"),
        (["--config", "&a [*a]"], "--config: line 1: the value refers to itself"),
        (["--env-config", "9" * 5000], "--env-config: line 1: 999999999999... has 5,000 digits"),
        (["--stop", "{training_iteration: soon}"], "must be a number, but is text ('soon')"),
        (["--experiment-name", ".."], "experiment name '..' becomes a folder"),
        (["--experiment-name", "a\nb"], "experiment name 'a b' becomes a folder"),
        (["--storage-path", "~nobody_of_this_name"], "is no path"),
    ],
)
def test_text_on_the_command_line_ends_in_one_message(options, words):
    from typer.testing import CliRunner

    from rllib_mmsa.command.cli import app

    done = CliRunner().invoke(app, ["train", "--algo", "QMIX", "--env", "two_step", *options])
    assert done.exit_code == 2 and words in done.output
    assert done.output.startswith("error: ") and len(done.output.splitlines()) == 1
