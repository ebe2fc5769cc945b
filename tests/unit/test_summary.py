"""What a run prints of its trials at the end."""

from __future__ import annotations

from types import SimpleNamespace

from ray.tune.experiment import Trial

from rllib_mmsa.command.experiment.structure import parse_experiment
from rllib_mmsa.command.run import summary

STEPS = "num_env_steps_sampled_lifetime"


def experiment(**changes: object):
    entry = {"run": "QMIX", "env": "two_step", "stop": {STEPS: 5000}, **changes}
    return parse_experiment("tiny", entry)


class Results(list):
    """A result grid: results, and Tune's trials beside them."""

    def __init__(self, *ends: tuple[dict, dict | None, str]):
        trials = [
            SimpleNamespace(
                trial_id=f"a1b2c_{number:05}",
                evaluated_params=values,
                config=values,
                status=status,
                experiment_dir_name="tiny",
                stopping_criterion={STEPS: 5000},
            )
            for number, (values, _, status) in enumerate(ends)
        ]
        self._experiment_analysis = SimpleNamespace(trials=trials)
        super().__init__(
            SimpleNamespace(metrics=metrics, checkpoint=SimpleNamespace(path=f"/r/{number}/c"))
            for number, (_, metrics, _) in enumerate(ends)
        )


def ended(steps: int, **metrics: float) -> dict:
    return {STEPS: steps, **metrics}


def test_a_search_ends_with_its_trials_the_best_first(capsys):
    results = Results(
        ({"lr": 1e-3}, ended(5000, test_return=0.5), "TERMINATED"),
        ({"lr": 5e-4}, ended(5000, test_return=0.75), "TERMINATED"),
        ({"lr": 1e-5}, None, "ERROR"),
        ({"lr": 1e-2}, ended(1008, test_return=-2.0), "PAUSED"),
    )
    assert summary.show(experiment(), results) == ["/r/1/c"]
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == ["trial", "test", "return", "env", "steps"]
    assert lines[2:] == [
        ["lr=0.0005", "0.75", "5,000"],
        ["lr=0.001", "0.50", "5,000"],
        ["lr=0.01", "-2.00", "1,008", "unfinished"],
        ["lr=1e-05", "-", "-", "failed"],
        "best: lr=0.0005: test return 0.75 at 5,000 env steps".split(),
    ]


def test_trials_are_compared_as_the_scheduler_does(capsys):
    scheduler = {"type": "asha", "metric": "test_win_rate", "mode": "min"}
    results = Results(
        ({"lr": 1e-3}, ended(5000, test_return=0.5, test_win_rate=0.9), "TERMINATED"),
        ({"lr": 1e-4}, ended(5000, test_return=0.7, test_win_rate=0.1), "TERMINATED"),
    )
    assert summary.show(experiment(scheduler=scheduler), results) == ["/r/1/c"]
    assert "best:       lr=0.0001: test win rate 0.10" in capsys.readouterr().out
    untested = Results(
        ({"lr": 1e-3}, ended(5000, env_runners={"episode_return_mean": 3.0}), "TERMINATED"),
        ({"lr": 1e-4}, ended(5000, env_runners={"episode_return_mean": 4.0}), "TERMINATED"),
    )
    assert summary.show(experiment(), untested) == ["/r/1/c"]
    assert "best:       lr=0.0001: return 4.00" in capsys.readouterr().out


def test_one_trial_has_no_table_and_says_why_it_is_longer(capsys):
    one = Results(({}, ended(5008, test_return=0.5), "TERMINATED"))
    assert summary.show(experiment(), one) == ["/r/0/c"]
    assert capsys.readouterr().out == (
        "ended:      at 5,008 env steps, since the episodes that were running at 5,000 were played "
        "to their ends\n"
    )
    exact = Results(({}, ended(5000, test_return=0.5), "TERMINATED"))
    summary.show(experiment(), exact)
    assert not capsys.readouterr().out


def test_of_many_trials_the_best_are_shown(capsys):
    ends = [({"lr": n}, ended(5000, test_return=float(n)), "TERMINATED") for n in range(25)]
    summary.show(experiment(), Results(*ends))
    out = capsys.readouterr().out
    assert "lr=24 " in out and "lr=15 " in out and "lr=14 " not in out
    assert "and 15 more" in out


def test_a_trial_that_was_stopped_at_its_start_is_not_done():
    """Tune calls it terminated; a batch job would count it as done."""
    trial = Trial("PPO", stub=True)
    for status, result, unfinished in (
        (Trial.TERMINATED, {}, True),
        (Trial.TERMINATED, {"trial_id": "a_0"}, True),  # before its first result
        (Trial.TERMINATED, {"training_iteration": 1}, False),
        (Trial.PAUSED, {"training_iteration": 1}, True),
        (Trial.ERROR, {}, False),
    ):
        trial.set_status(status)
        trial.run_metadata.last_result = result
        assert summary.is_unfinished(trial) == unfinished, status
