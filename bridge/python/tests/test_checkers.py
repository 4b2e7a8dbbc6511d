"""Every registered task, on both engines and in every form of observation, held to Gymnasium's rules."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import worldstep
from worldstep import AutoresetMode

# What a checker warns of is wrong too.
pytestmark = pytest.mark.filterwarnings("error")

NUM_ENVS = 3


def made(task: str, engine: str, obs: str, mode: AutoresetMode = AutoresetMode.NEXT_STEP):
    render_mode = "rgb_array" if obs == "rgb" else None
    return worldstep.make_vec(
        task, NUM_ENVS, engine=engine, obs=obs, autoreset_mode=mode, render_mode=render_mode
    )


def test_the_client_knows_the_tasks_that_the_command_knows() -> None:
    from conftest import registered

    assert set(registered()) == set(worldstep.TASKS)
    assert {f"worldstep/{task}" for task in registered()} <= set(gymnasium.registry)


def test_gymnasiums_checker_finds_nothing(task: str, engine: str, obs: str) -> None:
    render_mode = "rgb_array" if obs == "rgb" else None
    env = worldstep.make(task, engine=engine, obs=obs, render_mode=render_mode)
    if (engine, obs) in [("dream", "state"), ("dream", "latent"), ("truth", "depth")]:
        # Like positions in Gymnasium's MuJoCo tasks, they have no bounds.
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is -?infinity")
    check_env(env)
    env.close()


def test_a_vector_keeps_its_spaces(task: str, engine: str, obs: str) -> None:
    envs = made(task, engine, obs)
    assert envs.observation_space == batch_space(envs.single_observation_space, NUM_ENVS)
    assert envs.action_space == batch_space(envs.single_action_space, NUM_ENVS)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    observations, infos = envs.reset(seed=2)
    assert observations in envs.observation_space
    assert infos == {}
    envs.action_space.seed(2)
    for _ in range(5):
        observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
        assert observations in envs.observation_space
        assert all(one in envs.single_observation_space for one in observations)
        assert rewards.dtype == np.float64 and np.isfinite(rewards).all()
        assert terminated.dtype == truncated.dtype == bool
        assert rewards.shape == terminated.shape == truncated.shape == (NUM_ENVS,)
        for name in (name for name in infos if not name.startswith("_")):
            assert infos[name].shape == infos[f"_{name}"].shape == (NUM_ENVS,)
            assert infos[f"_{name}"].dtype == bool
    if obs == "rgb":
        np.testing.assert_array_equal(envs.render(), observations)
    envs.close()


def test_observations_belong_to_the_caller(task: str, engine: str, obs: str) -> None:
    envs = made(task, engine, obs)
    first, _ = envs.reset(seed=2)
    kept = first.copy()
    second, *_ = envs.step(envs.action_space.sample())
    np.testing.assert_array_equal(first, kept, "a later step has written into an earlier observation")
    for array in (first, second):
        assert array.flags.writeable and array.flags.aligned and array.flags.c_contiguous
    assert not np.shares_memory(first, second)
    envs.close()


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_episodes_end_and_begin_as_the_mode_says(task: str, mode: AutoresetMode) -> None:
    envs = made(task, "truth", "state", mode)
    envs.reset(seed=2)
    envs.action_space.seed(2)
    ended, begun = np.zeros(NUM_ENVS, dtype=bool), 0
    for _ in range(envs.max_episode_steps + 20):
        if mode == AutoresetMode.DISABLED and ended.any():
            envs.reset(options={"reset_mask": ended})
            begun += ended.sum()
            ended[:] = False
        _, rewards, terminated, truncated, _ = envs.step(envs.action_space.sample())
        if mode == AutoresetMode.NEXT_STEP:
            assert not rewards[ended].any() and not (terminated | truncated)[ended].any()
            begun += ended.sum()
        ended = terminated | truncated
    assert begun >= NUM_ENVS, "every environment has had a second episode"
    envs.close()


def test_gymnasiums_vector_wrappers_take_it(task: str) -> None:
    envs = RecordEpisodeStatistics(made(task, "truth", "state"))
    envs.reset(seed=2)
    envs.action_space.seed(2)
    for _ in range(envs.unwrapped.max_episode_steps):
        _, _, terminated, truncated, infos = envs.step(envs.action_space.sample())
        done = terminated | truncated
        if done.any():
            np.testing.assert_array_equal(infos["_episode"], done)
            assert (infos["episode"]["l"][done] > 1).all()
            break
    else:
        pytest.fail("no episode ended")
    envs.close()
