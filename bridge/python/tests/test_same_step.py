"""SAME_STEP: the next episode starts in the step that ends the one before."""

from __future__ import annotations

import numpy as np
import pytest

import worldstep
from worldstep import AutoresetMode

pytestmark = pytest.mark.filterwarnings("error")
NUM_ENVS = 5
STEPS = 400


@pytest.mark.parametrize("obs", ["state", "rgb"])
def test_it_tells_what_resets_by_hand_tell(obs: str) -> None:
    """Against DISABLED with resets of what has ended: the same episodes, bit for bit."""
    same = worldstep.make_vec("CartPole-v0", NUM_ENVS, obs=obs, autoreset_mode=AutoresetMode.SAME_STEP)
    hand = worldstep.make_vec("CartPole-v0", NUM_ENVS, obs=obs, autoreset_mode=AutoresetMode.DISABLED)
    assert same.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(same.reset(seed=3)[0], hand.reset(seed=3)[0])
    ends = 0
    for _ in range(STEPS if obs == "state" else STEPS // 4):
        # A hard push each way: poles fall after some ten steps.
        actions = rng.choice(np.float32([-1, 1]), size=(NUM_ENVS, 1))
        observations, *told, infos = same.step(actions)
        last, *expected, last_infos = hand.step(actions)
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
        for i in range(NUM_ENVS):
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
    assert ends > (20 if obs == "state" else 3)
    same.close()
    hand.close()


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
