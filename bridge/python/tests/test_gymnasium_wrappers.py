"""Gymnasium's own wrappers, around single environments and around vectors."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.wrappers import vector

import worldstep
from worldstep import AutoresetMode

STEPS = 120


def test_around_a_single_environment() -> None:
    env = wrappers.TimeLimit(worldstep.make("CartPole-v0"), 15)
    env = wrappers.RescaleAction(env, -2.0, 2.0)
    env = wrappers.ClipAction(env)
    env = wrappers.RecordEpisodeStatistics(env)
    env = wrappers.NormalizeObservation(env)
    env = wrappers.FrameStackObservation(env, 3)
    observation, _ = env.reset(seed=1)
    assert observation.shape == (3, 4)
    lengths = []
    for _ in range(STEPS):
        observation, _, terminated, truncated, info = env.step(np.float32([9.0]))
        assert np.isfinite(observation).all()
        if terminated or truncated:
            lengths.append(info["episode"]["l"])
            env.reset()
    assert len(lengths) >= STEPS // 15
    assert max(lengths) <= 15
    env.close()


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_around_a_vector(mode: AutoresetMode) -> None:
    envs = worldstep.make_vec("CartPole-v0", 4, autoreset_mode=mode)
    envs = vector.RescaleAction(envs, -2.0, 2.0)
    envs = vector.ClipAction(envs)
    envs = vector.RecordEpisodeStatistics(envs)
    if mode is AutoresetMode.NEXT_STEP:
        envs = vector.NormalizeObservation(envs)
    envs.reset(seed=1)
    lengths: list[int] = []
    for _ in range(STEPS):
        observations, _, terminated, truncated, infos = envs.step(np.full((4, 1), 9.0, np.float32))
        assert np.isfinite(observations).all()
        done = terminated | truncated
        # In SAME_STEP, wrappers see the infos of the episode that ended.
        told = infos.get("episode", infos.get("final_info", {}).get("episode")) if done.any() else None
        if told is not None:
            lengths.extend(told["l"][done].tolist())
    assert len(lengths) >= 4
    assert min(lengths) > 3
    envs.close()


def test_the_registered_ids_come_inside_the_usual_wrappers() -> None:
    env = gymnasium.make("worldstep/QuadrupedFlat-v0", max_episode_steps=7)
    env.reset(seed=0)
    flags = [env.step(env.action_space.sample() * 0)[3] for _ in range(7)]
    assert flags == [False] * 6 + [True]
    env.close()
