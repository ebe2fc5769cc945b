"""Output whose reader is gone."""

from __future__ import annotations

import subprocess
import sys

TALKER = """
import sys, typer
from rllib_mmsa.command import streams
streams.outlive_readers()
typer.echo("first")
sys.stdin.readline()
for _ in range(10_000):
    typer.echo("nobody reads this")
    typer.echo("nor this", err=True)
open("saved", "w").close()
"""


def test_a_program_goes_on_when_its_readers_are_gone(tmp_path):
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", TALKER], cwd=tmp_path, stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert process.stdout.readline() == b"first\n"
    process.stdout.close()
    process.stderr.close()
    process.stdin.write(b"go\n")
    process.stdin.close()
    assert process.wait(timeout=120) == 0
    assert (tmp_path / "saved").exists()


def test_a_stream_that_is_no_file_is_left_alone(monkeypatch):
    import io

    from rllib_mmsa.command import streams

    text = io.StringIO()
    monkeypatch.setattr(sys, "stdout", text)
    monkeypatch.setattr(sys, "stderr", text)
    streams.outlive_readers()
    assert sys.stdout is text
