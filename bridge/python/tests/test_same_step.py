"""SAME_STEP: the next episode starts in the step that ends the one before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import worldstep
from worldstep import AutoresetMode

pytestmark = pytest.mark.filterwarnings("error")
NUM_ENVS = 5
STEPS = 400


def ends_of(task: str, obs: str, num_envs: int, steps: int, actions: Callable[[Any], np.ndarray]) -> int:
    """Compare with DISABLED and resets of what has ended: the same episodes, bit for bit. How many ended."""
    same = worldstep.make_vec(task, num_envs, obs=obs, autoreset_mode=AutoresetMode.SAME_STEP)
    hand = worldstep.make_vec(task, num_envs, obs=obs, autoreset_mode=AutoresetMode.DISABLED)
    assert same.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    np.testing.assert_array_equal(same.reset(seed=3)[0], hand.reset(seed=3)[0])
    ends = 0
    for _ in range(steps or same.max_episode_steps + 1):
        chosen = actions(same)
        observations, *told, infos = same.step(chosen)
        last, *expected, last_infos = hand.step(chosen)
        np.testing.assert_array_equal(told, expected)
        done = expected[1] | expected[2]
        if not done.any():
            np.testing.assert_array_equal(observations, last)
            assert "final_obs" not in infos
            continue
        first, fresh_infos = hand.reset(options={"reset_mask": done})
        np.testing.assert_array_equal(observations, first)
        np.testing.assert_array_equal(infos["_final_obs"], done)
        np.testing.assert_array_equal(infos["_final_info"], done)
        for i in range(num_envs):
            if not done[i]:
                assert infos["final_obs"][i] is None
                continue
            ends += 1
            np.testing.assert_array_equal(infos["final_obs"][i], last[i])
            for name in last_infos:
                if not name.startswith("_") and last_infos[f"_{name}"][i]:
                    assert infos["final_info"][name][i] == last_infos[name][i]
                    assert infos["final_info"][f"_{name}"][i]
        # The infos themselves are those of the new episodes.
        assert not any(infos[f"_{name}"][done].any() for name in last_infos if f"_{name}" in infos)
        assert fresh_infos == {}
    same.close()
    hand.close()
    return ends


@pytest.mark.parametrize("obs", ["state", "rgb"])
def test_it_tells_what_resets_by_hand_tell(obs: str) -> None:
    rng = np.random.default_rng(1)
    # A hard push each way: poles fall after some ten steps.
    push = lambda _: rng.choice(np.float32([-1, 1]), size=(NUM_ENVS, 1))  # noqa: E731
    steps, least = (STEPS, 20) if obs == "state" else (STEPS // 4, 3)
    assert ends_of("CartPole-v0", obs, NUM_ENVS, steps, push) > least


def test_every_task_has_it(task: str) -> None:
    """Until every environment has come to its time limit or ended before."""
    assert ends_of(task, "state", 2, 0, lambda envs: envs.action_space.sample()) >= 2


def test_a_dream_has_it_too(models: str) -> None:
    envs = worldstep.make_vec(
        "CartPole-v0", 2, engine="dream", model=models, autoreset_mode=AutoresetMode.SAME_STEP
    )
    envs.reset(seed=0)
    ends = 0
    for _ in range(envs.max_episode_steps + 1):
        observations, _, terminated, truncated, infos = envs.step(envs.action_space.sample())
        assert observations in envs.observation_space
        done = terminated | truncated
        ends += int(done.sum())
        assert (infos.get("_final_obs", np.zeros(2, bool)) == done).all()
    assert ends >= 2
    envs.close()
