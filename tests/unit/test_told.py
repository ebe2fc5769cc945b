"""What is shown of a failed trial's error."""

from __future__ import annotations

from rllib_mmsa.command.run.told import last_lines

TRACE = """ray.exceptions.RayTaskError(TooManyFailures): ray::QMIX.train() (pid=1)
  File "/x/rllib_mmsa/rllib/play.py", line 74, in _play
    episode, failed = self._record(index)
                      ^^^^^^^^^^^^^^^^^^^
  File "/home/me/my_env.py", line 7, in step
    raise ValueError("my mistake")
"""


def test_a_message_in_words_stands_alone():
    said = "the environment 'buggy' failed 11 times in a row; its last error: ValueError: mine"
    error = f"{TRACE}rllib_mmsa.rllib.supervised.TooManyFailures: {said}\n"
    assert last_lines(error) == said


def test_a_traceback_is_shown_without_its_marks():
    told = last_lines(f"{TRACE}ValueError: my mistake")
    assert told.endswith('raise ValueError("my mistake")\nValueError: my mistake')
    assert "^" not in told


def test_what_is_raised_after_a_message_is_what_is_shown():
    error = f"{TRACE}rllib_mmsa.errors.ConfigError: no\n\nDuring handling:\nKeyError: 'x'"
    assert last_lines(error).endswith("KeyError: 'x'")
