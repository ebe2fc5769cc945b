"""What a shell completes (`rllib --install-completion`), asked as bash asks."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from rllib_mmsa.command.cli import app


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rllib exa", {"examples"}),
        ("rllib examples mmsa_two", {"mmsa_two_step"}),
        ("rllib train example mmsa_two", {"mmsa_two_step"}),
        ("rllib train file mmsa_two", set()),  # the shell completes files
        ("rllib train --algo Q", {"QMIX", "QPLEX"}),
        ("rllib train --env lb", {"lbf"}),
        ("rllib envs check sma", {"smac", "smacv2", "smax"}),
        ("rllib docs environments/l", {"environments/lbf"}),
    ],
)
def test_names_are_completed(line, words):
    asked = {
        "_RLLIB_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    assert set(CliRunner().invoke(app, [], env=asked, prog_name="rllib").output.split()) == words
