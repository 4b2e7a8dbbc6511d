"""The single-environment form."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import worldstep

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("id", worldstep.TASKS)
def test_gymnasium_makes_it_by_name(id: str) -> None:
    env = gymnasium.make(f"worldstep/{id}")
    observation, _ = env.reset(seed=3)
    again = worldstep.make(id)
    np.testing.assert_array_equal(observation, again.reset(seed=3)[0])
    again.close()
    env.close()


def test_gymnasium_makes_vectors_by_name() -> None:
    envs = gymnasium.make_vec("worldstep/CartPole-v0", num_envs=3, vectorization_mode="vector_entry_point")
    assert isinstance(envs.unwrapped, worldstep.WorldstepVectorEnv)
    assert envs.reset(seed=0)[0].shape[0] == 3
    envs.close()


def test_a_single_environment_is_lane_zero_of_a_vector() -> None:
    env = worldstep.make("PushCube-v0")
    envs = worldstep.make_vec("PushCube-v0", num_envs=4)
    env.reset(seed=8)
    envs.reset(seed=8)
    envs.action_space.seed(0)
    for _ in range(20):
        actions = envs.action_space.sample()
        observation, reward, *_ = env.step(actions[0])
        observations, rewards, *_ = envs.step(actions)
        assert observation.tobytes() == observations[0].tobytes()
        assert reward == rewards[0]
    env.close()
    envs.close()


def test_state_round_trip() -> None:
    env = worldstep.make("CatchBehindScreen-v0")
    env.reset(seed=8)
    state = env.save_state()
    first = env.step(env.action_space.sample() * 0)
    np.testing.assert_array_equal(env.load_state(state), env.reset(seed=8)[0])
    env.load_state(state)
    second = env.step(0)
    assert first[1:] == second[1:]
    env.close()
