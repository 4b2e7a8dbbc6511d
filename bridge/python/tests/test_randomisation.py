"""Random physics and difficulty, through the server."""

from __future__ import annotations

import numpy as np
import pytest

import worldstep
from worldstep import AutoresetMode

N = 16


def starts(envs: worldstep.WorldstepVectorEnv, **options: float) -> float:
    """Give the spread of first observations."""
    return float(envs.reset(seed=1, options=options or None)[0].std(axis=0).sum())


def test_difficulty_is_for_this_reset_and_what_follows_by_itself() -> None:
    envs = worldstep.make_vec("Pendulum-v0", N)
    full = starts(envs)
    assert starts(envs, difficulty=0.0) == 0.0
    assert 0.0 < starts(envs, difficulty=0.3) < 0.8 * full
    assert starts(envs) == full, "asked for again without it"
    # Episodes that start by themselves are those that were asked for.
    starts(envs, difficulty=0.0)
    for _ in range(envs.max_episode_steps + 1):
        observations, *_ = envs.step(envs.action_space.sample())
    assert observations.std(axis=0).sum() == 0.0
    envs.close()


def test_difficulty_of_some() -> None:
    envs = worldstep.make_vec("CartPole-v0", N, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=1)
    mask = np.arange(N) < N // 2
    observations, _ = envs.reset(options={"reset_mask": mask, "difficulty": 0.0})
    assert (observations[mask] == 0.0).all()
    assert (observations[~mask] != 0.0).any(axis=1).all()
    envs.close()


def test_whoever_gets_the_place_next_has_its_own_difficulty() -> None:
    first = worldstep.make_vec("Pendulum-v0", N)
    expected = first.reset(seed=1)[0]
    first.reset(seed=1, options={"difficulty": 0.0})
    first.close()
    second = worldstep.make_vec("Pendulum-v0", N)
    np.testing.assert_array_equal(second.reset(seed=1)[0], expected)
    second.close()


def test_sessions_of_other_physics_do_not_share_an_engine() -> None:
    plain = worldstep.make_vec("Reacher-v0", N)
    strong = worldstep.make_vec("Reacher-v0", N, randomisation={"motor_gain": 2.0})
    assert (plain.reset(seed=1)[0] == strong.reset(seed=1)[0]).all()
    actions = np.full_like(plain.action_space.sample(), 0.1)
    assert (plain.step(actions)[0] != strong.step(actions)[0]).any()
    plain.close()
    strong.close()


@pytest.mark.parametrize("obs", ["state", "rgb"])
def test_actions_come_late(obs: str) -> None:
    late = worldstep.make_vec("CartPole-v0", 2, obs=obs, randomisation={"latency": (3, 3)})
    plain = worldstep.make_vec("CartPole-v0", 2, obs=obs)
    assert (late.reset(seed=1)[0] == plain.reset(seed=1)[0]).all()
    push, none = np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)
    for step in range(6):
        seen = late.step(push)[0]
        expected = plain.step(none if step < 3 else push)[0]
        np.testing.assert_array_equal(seen, expected)
    late.close()
    plain.close()


def test_a_state_takes_its_physics_along() -> None:
    ranges = {"mass": (0.5, 2.0), "gravity": (0.8, 1.2), "latency": (1, 2), "sensor_noise": (0.0, 0.1)}
    envs = worldstep.make_vec("Ant-v0", 3, randomisation=ranges)
    other = worldstep.make_vec("Ant-v0", 3)
    envs.reset(seed=5)
    other.reset(seed=6)
    rng = np.random.default_rng(0)
    actions = [rng.uniform(-1, 1, envs.action_space.shape).astype(np.float32) for _ in range(12)]
    for action in actions[:4]:
        envs.step(action)
    seen = other.load_state(envs.save_state())
    assert (seen != 0.0).any()
    for action in actions[4:]:
        for a, b in zip(envs.step(action)[:4], other.step(action)[:4], strict=True):
            np.testing.assert_array_equal(a, b)
    envs.close()
    other.close()


@pytest.mark.parametrize(
    ("randomisation", "says"),
    [
        ({"mass": (0.0, 1.0)}, "mass is .0, 1., expected"),
        ({"mass": (1.0, 2.0, 3.0)}, r"expected \(low, high\)"),
        ({"friction": "low"}, r"expected \(low, high\)"),
        ({"colour": (0.0, 1.0)}, "colour"),
        ({"difficulty": 2.0}, "0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(randomisation: dict, says: str) -> None:
    with pytest.raises(worldstep.WorldstepError, match=says):
        worldstep.make_vec("Reacher-v0", 1, randomisation=randomisation)


def test_a_dream_has_no_physics(models: str) -> None:
    with pytest.raises(worldstep.Unsupported, match="no physics"):
        worldstep.make("CatchBehindScreen-v0", engine="dream", model=models, randomisation={"mass": (1, 2)})
