"""`python -m rllib_mmsa` is the `rllib` command."""

from rllib_mmsa.command.cli import app

if __name__ == "__main__":
    app(prog_name="rllib")
