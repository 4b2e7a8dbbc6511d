"""Steps of a part of the environments, while others are stepped or looked at."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import worldstep

pytestmark = pytest.mark.filterwarnings("error")
TASK = "PushCube-v0"
HALVES = [np.arange(0, 3), np.arange(3, 6)]


@pytest.fixture
def envs():
    made = worldstep.make_vec(TASK, 6)
    made.reset(seed=3)
    yield made
    made.close()


@pytest.fixture
def others():
    made = worldstep.make_vec(TASK, 6)
    made.reset(seed=3)
    yield made
    made.close()


def actions_of(t: int) -> np.ndarray:
    rng = np.random.default_rng(t)
    return rng.uniform(-1, 1, size=(6, 2)).astype(np.float32)


def test_the_two_halves_of_a_step_are_a_step(envs, others) -> None:
    for t in range(20):
        envs.step_async(actions_of(t))
        for one, other in zip(envs.step_wait()[:4], others.step(actions_of(t))[:4], strict=True):
            np.testing.assert_array_equal(one, other)


def test_two_groups_in_turn_are_stepped_as_all_at_once(envs, others) -> None:
    for half in HALVES:
        envs.send(actions_of(0)[half], half)
    for t in range(1, 150):
        expected = others.step(actions_of(t - 1))
        for half in HALVES:
            *stepped, infos = envs.recv()
            np.testing.assert_array_equal(infos["env_id"], half)
            for one, all_of_them in zip(stepped, expected[:4], strict=True):
                np.testing.assert_array_equal(one, all_of_them[half])
            np.testing.assert_array_equal(infos["success"], expected[4]["success"][half])
            envs.send(actions_of(t)[half], half)
    envs.recv()
    envs.recv()


def test_a_group_may_be_in_any_order(envs, others) -> None:
    shuffled = np.array([4, 0, 3])
    envs.send(actions_of(1)[shuffled], shuffled)
    observations, *_, infos = envs.recv()
    expected = others.step(actions_of(1))[0]
    np.testing.assert_array_equal(infos["env_id"], [0, 3, 4])
    np.testing.assert_array_equal(observations, expected[[0, 3, 4]])


def test_what_is_under_way_is_waited_for(envs) -> None:
    pending, missing = gymnasium.error.AlreadyPendingCallError, gymnasium.error.NoAsyncCallError
    with pytest.raises(missing, match="send"):
        envs.recv()
    with pytest.raises(missing, match="step_async"):
        envs.step_wait()
    envs.send(actions_of(0)[:3], HALVES[0])
    for call in (lambda: envs.step(actions_of(0)), lambda: envs.reset(), lambda: envs.save_state()):
        with pytest.raises(pending, match="recv"):
            call()
    with pytest.raises(pending, match="being stepped"):
        envs.send(actions_of(0)[:1], [2])
    envs.send(actions_of(0)[3:], HALVES[1])
    with pytest.raises(pending, match="2 steps"):
        envs.send(actions_of(0)[:1], [5])
    assert len(envs.recv()[1]) == len(envs.recv()[1]) == 3
    assert envs.step(actions_of(1))[1].shape == (6,)


@pytest.mark.parametrize("env_id", [[6], [-1], [0, 0], [], [0.5], [[0]]])
def test_numbers_that_are_none_are_refused(envs, env_id: list) -> None:
    with pytest.raises(worldstep.WorldstepError, match="env_id"):
        envs.send(np.zeros((len(env_id), 2), np.float32), env_id)
    assert envs.step(actions_of(0))[1].shape == (6,), "nothing is under way"


def test_actions_have_to_fit_the_group(envs) -> None:
    with pytest.raises(worldstep.InvalidAction, match="expected"):
        envs.send(actions_of(0), HALVES[0])
    with pytest.raises(worldstep.InvalidAction):
        envs.send(np.full((3, 2), 9, np.float32), HALVES[0])
        envs.recv()
    assert envs.step(actions_of(0))[1].shape == (6,)


def test_an_environment_can_be_closed_with_steps_under_way(envs) -> None:
    envs.send(actions_of(0)[:3], HALVES[0])
    envs.close()


def test_a_session_ends_with_its_environments_whatever_is_under_way(server: str) -> None:
    keeper = worldstep.make_vec(TASK, 1, address=server)
    for _ in range(3):
        envs = worldstep.make_vec(TASK, 6, obs="rgb", address=server)
        envs.reset(seed=0)
        for half in HALVES:
            envs.send(actions_of(0)[half], half)
        envs.close()
        assert keeper.metrics()["sessions"] == 1
    keeper.close()


def test_what_was_seen_is_not_written_to_and_what_is_shown_is_the_latest() -> None:
    envs = worldstep.make_vec(TASK, 6, obs="rgb", render_mode="rgb_array")
    first, _ = envs.reset(seed=3)
    kept = first.copy()
    for t in range(3):
        envs.send(actions_of(t)[:3], HALVES[0])
        seen = envs.recv()[0]
    np.testing.assert_array_equal(first, kept)
    shown = envs.render()
    np.testing.assert_array_equal(shown[:3], seen)
    np.testing.assert_array_equal(shown[3:], first[3:])
    assert (seen != first[:3]).any()
    envs.close()
