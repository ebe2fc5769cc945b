"""Episodes, batches and replay: nothing crosses episodes, nothing is lost on the way."""

import pickle

import numpy as np
import pytest

from env_registry.contract import ACTION_MASK, OBS, STATE, TEAM
from rllib_mmsa.rllib.batch import (
    ACTIONS,
    LOSS_MASK,
    REWARDS,
    TERMINATED,
    TRUNCATED,
    TeamEpisode,
    Window,
    to_arrays,
    to_train_batch,
)
from rllib_mmsa.rllib.replay import EpisodeReplay

N, A, D, S = 2, 3, 4, 5


def make_episode(number: int, length: int, terminated: bool = True) -> TeamEpisode:
    """Every entry says which episode (thousands) and which step it belongs to."""
    stamp = (1000 * number + np.arange(length + 1)).astype(np.float32)
    return TeamEpisode(
        obs=np.broadcast_to(stamp[:, None, None], (length + 1, N, D)).copy(),
        action_mask=np.ones((length + 1, N, A), np.int8),
        state=np.broadcast_to(stamp[:, None], (length + 1, S)).copy(),
        actions=np.full((length, N), number % A),
        rewards=stamp[:length].copy(),
        terminated=terminated,
    )


def whole(*episodes: TeamEpisode) -> list[Window]:
    return [Window.whole(episode) for episode in episodes]


def test_batch_keeps_the_contract():
    batch = to_arrays(whole(make_episode(1, 3), make_episode(2, 5, terminated=False)))
    shapes = {name: values.shape for name, values in batch.items()}
    assert shapes == {
        OBS: (2, 6, N, D), ACTION_MASK: (2, 6, N, A), STATE: (2, 6, S), ACTIONS: (2, 5, N),
        REWARDS: (2, 5), TERMINATED: (2, 5), TRUNCATED: (2, 5), LOSS_MASK: (2, 5),
    }  # fmt: skip
    assert batch[LOSS_MASK].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert np.argwhere(batch[TERMINATED]).tolist() == [[0, 2]]
    assert np.argwhere(batch[TRUNCATED]).tolist() == [[1, 4]]  # the second was cut off
    np.testing.assert_array_equal(batch[OBS][0, :4, 0, 0], [1000, 1001, 1002, 1003])
    assert (batch[ACTION_MASK][0, 4:] == 1).all() and (batch[OBS][0, 4:] == 0).all()


def test_train_batch_counts_real_steps_and_scales_rewards():
    batch = to_train_batch(whole(make_episode(1, 3), make_episode(2, 5)), reward_scale=0.5)
    assert batch.env_steps() == 8 and batch[TEAM].count == 2
    assert batch[TEAM][REWARDS][0, 0] == 500.0


def test_replay_never_crosses_episodes_and_forgets_the_oldest():
    replay = EpisodeReplay(capacity_episodes=10, seed=0)
    replay.add([make_episode(number, 1 + number % 7) for number in range(25)])
    assert len(replay) == 10 and replay.num_episodes_added == 25
    for _ in range(20):
        drawn = [window.episode for window in replay.sample(4)]
        numbers = [int(episode.obs[0, 0, 0]) // 1000 for episode in drawn]
        assert len(set(numbers)) == 4 and min(numbers) >= 15
        for number, episode in zip(numbers, drawn, strict=True):
            assert (episode.state // 1000 == number).all()
            assert (episode.actions == number % A).all()


def test_what_ray_lends_is_copied_and_what_is_here_is_not():
    here, lent = make_episode(1, 3), make_episode(2, 3)
    for name in (OBS, STATE):
        getattr(lent, name).flags.writeable = False
    replay = EpisodeReplay(capacity_episodes=2, seed=0)
    replay.add([here, lent])
    first, second = replay._episodes
    assert first is here and second.actions is lent.actions
    assert second.obs is not lent.obs and second.obs.flags.owndata
    assert (second.obs == lent.obs).all() and (second.state == lent.state).all()


def test_replay_keeps_to_its_bytes():
    size = make_episode(0, 4).nbytes
    replay = EpisodeReplay(100, seed=0, capacity_bytes=3 * size + size // 2)
    replay.add([make_episode(0, 4)])
    assert replay.nbytes_when_full == replay.capacity_bytes
    assert EpisodeReplay(100).nbytes_when_full == 0
    replay.add([make_episode(number, 4) for number in range(1, 6)])
    drawn = {int(window.episode.obs[0, 0, 0]) // 1000 for window in replay.sample(3)}
    assert drawn == {3, 4, 5} and len(replay) == 3 and replay.nbytes == 3 * size
    replay.add([make_episode(6, 40)])  # larger than the limit by itself: kept alone
    assert len(replay) == 1
    free = EpisodeReplay(100)
    free.add([make_episode(0, 4), make_episode(1, 4)])
    assert free.nbytes_when_full == 100 * size


def test_replay_draws_evenly():
    replay = EpisodeReplay(8, seed=0)
    replay.add([make_episode(number, 2) for number in range(8)])
    drawn = [int(w.episode.obs[0, 0, 0]) // 1000 for _ in range(2000) for w in replay.sample(2)]
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), 1 / 8, atol=0.02)


def test_sequences_lie_inside_their_episode_and_cover_its_steps():
    replay = EpisodeReplay(8, seed=0, max_seq_len=4, burn_in=3)
    replay.add([make_episode(0, 20), make_episode(1, 3), make_episode(2, 4)])
    drawn = replay.sample(6000)
    lengths = {0: 4, 1: 3, 2: 4}
    learned = np.zeros(20)
    for window in drawn:
        number = int(window.episode.obs[0, 0, 0]) // 1000
        assert window.stop - window.start == lengths[number]
        assert window.first == max(window.start - 3, 0) and window.stop <= len(window.episode)
        if number == 0:
            learned[window.start : window.stop] += 1
    numbers = np.array([int(w.episode.obs[0, 0, 0]) // 1000 for w in drawn])
    share = np.bincount(numbers) / len(drawn)
    np.testing.assert_allclose(share, [20 / 27, 3 / 27, 4 / 27], atol=0.02)
    assert learned[0] > 0.9 * learned[10] and learned[-1] > 0.9 * learned[10] > 0


def test_a_sequence_is_learned_from_after_its_burn_in():
    batch = to_arrays(
        [
            Window(make_episode(0, 20), first=5, start=7, stop=10),
            Window(make_episode(1, 12, terminated=False), first=9, start=9, stop=12),
            Window(make_episode(2, 4), first=0, start=1, stop=4),
        ]
    )
    assert batch[LOSS_MASK].tolist() == [[0, 0, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 1, 1, 0]]
    np.testing.assert_array_equal(batch[OBS][0, :, 0, 0], [5, 6, 7, 8, 9, 10])
    np.testing.assert_array_equal(batch[REWARDS][1], [1009, 1010, 1011, 0, 0])
    assert np.argwhere(batch[TERMINATED]).tolist() == [[2, 3]]  # the first goes on
    assert np.argwhere(batch[TRUNCATED]).tolist() == [[1, 2]]


def test_replay_says_what_is_missing():
    with pytest.raises(ValueError, match=r"cannot draw 4 .* the 0 stored"):
        EpisodeReplay(10).sample(4)


@pytest.mark.parametrize("with_episodes", [True, False])
def test_replay_state_survives_a_pickle(with_episodes):
    replay = EpisodeReplay(6, seed=3)
    replay.add([make_episode(number, 1 + number % 3, number % 2 == 0) for number in range(9)])
    state = pickle.loads(pickle.dumps(replay.get_state(with_episodes)))
    restored = EpisodeReplay(6, seed=99)
    restored.set_state(state)
    assert restored.num_episodes_added == 9
    assert restored.reward_deviation == replay.reward_deviation
    if not with_episodes:
        assert len(restored) == 0
        return
    assert (restored.nbytes, restored.num_env_steps) == (replay.nbytes, replay.num_env_steps)
    for ours, theirs in zip(replay.sample(5), restored.sample(5), strict=True):
        for name in (OBS, ACTION_MASK, STATE, ACTIONS, REWARDS):
            np.testing.assert_array_equal(
                getattr(ours.episode, name), getattr(theirs.episode, name)
            )
        assert ours.episode.terminated == theirs.episode.terminated


def test_replay_bytes_are_those_of_the_steps_played():
    replay = EpisodeReplay(100)
    replay.add([make_episode(0, 10), make_episode(1, 2)])
    per_observation = 4 * N * D + N * A + 4 * S
    per_step = 8 * N + 4
    assert replay.nbytes == 14 * per_observation + 12 * per_step


def test_reward_deviation():
    replay = EpisodeReplay(2)
    assert replay.reward_deviation == 1.0
    episodes = [make_episode(number, 4) for number in range(3)]
    replay.add(episodes)
    every = np.concatenate([episode.rewards for episode in episodes])
    assert replay.reward_deviation == pytest.approx(every.std(), rel=1e-6)
