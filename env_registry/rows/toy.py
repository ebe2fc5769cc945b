"""The rows of the toy games."""

from __future__ import annotations

from env_registry.rows.row import EnvRow, Option

COUNTER = EnvRow(
    name="counter",
    entry_point="env_registry.toy:CounterEnv",
    summary="A test environment whose every number says where it belongs.",
    options={
        "n_agents": Option(3, "number of agents", int, least=1),
        "n_actions": Option(4, "number of actions", int, least=2),
        "min_length": Option(4, "fewest env steps of an episode", int, least=1),
        "max_length": Option(9, "most env steps of an episode", int, least=1),
        "ends_by": Option(
            "termination",
            "how episodes end",
            str,
            ("termination", "truncation", "mixed"),
        ),
    },
)

TWO_STEP = EnvRow(
    name="two_step",
    entry_point="env_registry.toy:TwoStepEnv",
    summary="The QMIX paper's two-step game; the best return is 8, the safe one 7.",
)

GAMES = ("climbing", "penalty", "penalty_diagonal")
CLIMBING = EnvRow(
    name="climbing",
    entry_point="env_registry.toy:ClimbingEnv",
    summary="One-step matrix games that punish miscoordination; best 11 (penalty: 10).",
    options={
        "game": Option("climbing", "which matrix", str, GAMES),
        "penalty": Option(-10.0, "what the penalty games' wrong corners pay", float),
    },
)
