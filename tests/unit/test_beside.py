"""Two threads for one update: the same numbers as with one, and what goes wrong is not lost."""

import threading

import numpy as np
import pytest
import torch

from rllib_mmsa.nets import beside
from tests.algorithms import build, learner, train_batch, weights

FORAGING = {"env": "lbf", "env_config": {"task": "5x5-2p-1f-v3", "max_episode_steps": 12}}
pytestmark = pytest.mark.usefixtures("ray_session")
STEPS = {"num_env_steps_sampled_lifetime": 0, "num_episodes_lifetime": 0}


@pytest.fixture(autouse=True)
def _one_thread_afterwards():
    of_pytorch = torch.get_num_threads()
    yield
    beside.use_threads(1)
    torch.set_num_threads(of_pytorch)


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.setattr(beside, "cores", lambda: 2)
    beside.use_threads(2)


def this_thread() -> str:
    return threading.current_thread().name


def test_calls_run_here_with_one_thread_and_in_another_with_two(two_threads):
    here, begun = this_thread(), threading.Event()

    def other() -> str:
        begun.set()
        return this_thread()

    wait = beside.beside(other)
    assert begun.wait(10)
    assert wait() != here
    assert wait() != here, "asked again, it is not made again"
    beside.use_threads(1)
    assert beside.beside(this_thread)() == here


def test_who_waits_for_a_call_that_has_not_begun_makes_it(two_threads):
    here, go_on = this_thread(), threading.Event()
    busy = beside.beside(lambda: go_on.wait(10))
    made = []
    wait = beside.beside(lambda: made.append(this_thread()) or len(made))
    assert wait() == 1
    assert wait() == 1 and made == [here]
    go_on.set()
    assert busy()


def test_parts_are_shared_by_both_threads(two_threads):
    here, met = this_thread(), threading.Barrier(2)

    def part(number: int) -> tuple[int, bool]:
        met.wait(10)  # neither goes on alone
        return 2 * number, this_thread() == here

    parts = beside.at_once(part, [1, 2, 3, 4])
    assert [number for number, _ in parts] == [2, 4, 6, 8]
    assert sorted(by_caller for _, by_caller in parts) == [False, False, True, True]
    assert beside.at_once(lambda _: this_thread(), [1]) == [here]


def test_one_core_is_one_thread(monkeypatch):
    monkeypatch.setattr(beside, "cores", lambda: 1)
    beside.use_threads(2)
    assert not beside.two_threads()


def test_a_call_within_a_call_does_not_wait_for_itself(two_threads):
    outer = beside.beside(lambda: beside.at_once(lambda part: 2 * part, [1, 2, 3]))
    assert outer() == [2, 4, 6]


def test_gradients_are_recorded_where_the_caller_records_them(two_threads):
    assert beside.beside(torch.is_grad_enabled)()
    with torch.no_grad():
        assert not beside.beside(torch.is_grad_enabled)()


def test_an_error_reaches_who_waits(two_threads):
    def fail():
        raise ValueError("in the other thread")

    wait = beside.beside(fail)
    with pytest.raises(ValueError, match="in the other thread"):
        wait()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("QMIX", {}),
        ("MMSA", {}),
        ("MMSA", {"sale_encoders": "live", "sale_action": "previous"}),
        ("MMSA", {"use_sale": False}),
        ("MMSA", {"use_world_model": False}),
        ("MMSA", {"use_world_model": False, "use_sale": False}),
        ("MMSA", {"rollout_model": "online"}),
        ("MMSA", {"model_gradient_to_agent": True}),
        ("MMSA", {"sample_rollout": True}),
        ("MMSA", {"model_updates_every": 2}),
    ],
)
def test_two_threads_learn_to_the_last_bit_what_one_does(name, settings, monkeypatch):
    monkeypatch.setattr(beside, "cores", lambda: 2)
    found = []
    for threads in (1, 2):
        algorithm = build(name, **FORAGING, **settings, learner_threads=threads)
        assert beside.two_threads() == (threads == 2)
        own = learner(algorithm)
        batch = train_batch(algorithm.env_runner.sample(num_episodes=8))
        logged = []
        for _ in range(3):
            result = algorithm.learner_group.update(batch=batch, timesteps=STEPS)
            logged.append({key: value.peek() for key, value in result[0]["team"].items()})
        found.append((weights(own.team_module), logged))
        algorithm.stop()
    (ours, our_log), (theirs, their_log) = found
    assert ours.keys() == theirs.keys()
    for key in ours:
        np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)
    assert [sorted(log) for log in our_log] == [sorted(log) for log in their_log]
    for one, two in zip(our_log, their_log, strict=True):
        for key in one:
            np.testing.assert_array_equal(one[key], two[key], err_msg=key)


@pytest.mark.parametrize("cores, two", [(2, False), (3, True)])
def test_a_runner_that_plays_meanwhile_keeps_its_core(cores, two, monkeypatch):
    monkeypatch.setattr(beside, "cores", lambda: cores)
    settings = {"num_env_runners": 1, "learner_threads": 2}
    torch.set_num_threads(2)
    overlapped = build("QMIX", **settings, overlap_sampling=True)
    assert beside.two_threads() == two
    assert torch.get_num_threads() == 1  # of PyTorch's own, in each of ours
    overlapped.stop()
    in_turns = build("QMIX", **settings)
    assert beside.two_threads()
    in_turns.stop()


def test_the_world_model_learns_apart_where_nothing_else_reads_it(two_threads):
    algorithm = build("MMSA", **FORAGING, learner_threads=2)
    own = learner(algorithm)
    own.before_gradient_based_update(timesteps={})
    assert own.team_module.learns_apart
    for setting in ({"rollout_model": "online"}, {"model_gradient_to_agent": True}):
        other = build("MMSA", **FORAGING, **setting, learner_threads=2)
        learner(other).before_gradient_based_update(timesteps={})
        assert not learner(other).team_module.learns_apart
        other.stop()
    algorithm.stop()
