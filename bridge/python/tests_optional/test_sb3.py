"""Stable-Baselines3 on both engines, in an environment that has it (`make test-sb3`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import run_json
from forms import FORMS
from gymnasium.wrappers import FlattenObservation
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import VecMonitor

import worldstep
from worldstep.autoreset import AutoresetMode
from worldstep.sb3 import WorldstepVecEnv, make_sb3

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "nano"
TASKS = [task["id"] for task in run_json("envs")["envs"]]


def made(task: str, engine: str, **options):
    model = str(SHIPPED) if engine == "dream" else None
    return make_sb3(task, engine=engine, model=model, **options)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize(
    ("task", "engine", "obs"),
    [(task, *form) for task in TASKS for form in FORMS if form[0] == "truth" or task in worldstep.DREAMS],
)
def test_its_checker_finds_nothing(task: str, engine: str, obs: str) -> None:
    model = str(SHIPPED) if engine == "dream" else None
    env = worldstep.make(task, engine=engine, obs=obs, model=model)
    if obs in ("codes", "depth"):
        # It takes pictures of bytes for images, and says to flatten what has as many axes and is none.
        env = FlattenObservation(env)
    check_env(env)
    env.close()


@pytest.mark.parametrize(("task", "engine"), [("CartPole-v0", "truth"), ("CatchBehindScreen-v0", "dream")])
def test_episodes_follow_each_other_within_a_step(task: str, engine: str) -> None:
    envs = made(task, engine, num_envs=3)
    model = str(SHIPPED) if engine == "dream" else None
    plain = worldstep.make_vec(task, 3, engine=engine, model=model, autoreset_mode=AutoresetMode.DISABLED)
    envs.seed(4)
    np.testing.assert_array_equal(envs.reset(), plain.reset(seed=4)[0])
    plain.action_space.seed(0)
    ended = 0
    for _ in range(120):
        actions = plain.action_space.sample()
        observations, rewards, done, infos = envs.step(actions)
        last, expected, terminated, truncated, _ = plain.step(actions)
        np.testing.assert_array_equal(rewards, expected.astype(np.float32))
        np.testing.assert_array_equal(done, terminated | truncated)
        shown = last
        if done.any():
            shown, _ = plain.reset(options={"reset_mask": done})
        np.testing.assert_array_equal(observations, shown)
        for i, info in enumerate(infos):
            assert ("terminal_observation" in info) == done[i]
            assert info["TimeLimit.truncated"] == (truncated[i] and not terminated[i])
            if done[i]:
                ended += 1
                np.testing.assert_array_equal(info["terminal_observation"], last[i])
    assert ended > 2, "no episode has ended"
    plain.close()
    envs.close()


@pytest.mark.parametrize(
    ("policy", "engine", "obs"), [("MlpPolicy", "truth", "state"), ("CnnPolicy", "dream", "rgb")]
)
def test_ppo_learns_from_it(policy: str, engine: str, obs: str) -> None:
    envs = VecMonitor(made("CatchBehindScreen-v0", engine, num_envs=4, obs=obs))
    model = PPO(policy, envs, n_steps=64, batch_size=64, n_epochs=1, seed=0, device="cpu")
    before = [parameter.clone() for parameter in model.policy.parameters()]
    model.learn(4 * 64)
    assert any((old != new).any() for old, new in zip(before, model.policy.parameters(), strict=True))
    assert len(model.ep_info_buffer) > 0, "no episode has ended"
    assert all(np.isfinite(episode["r"]) for episode in model.ep_info_buffer)
    envs.close()


def test_what_a_server_cannot_do_is_refused() -> None:
    envs = make_sb3("CartPole-v0", 2)
    assert envs.get_attr("render_mode") == [None, None]
    assert envs.env_is_wrapped(VecMonitor, indices=[1]) == [False]
    for refused in (lambda: envs.set_attr("gravity", 1.0), lambda: envs.env_method("push")):
        with pytest.raises(worldstep.Unsupported, match="server"):
            refused()
    envs.step_async(np.zeros((2, 1), dtype=np.float32))
    envs.reset()
    with pytest.raises(worldstep.WorldstepError, match="step_async first"):
        envs.step_wait()
    envs.close()
    with pytest.raises(worldstep.Unsupported, match="DISABLED"):
        WorldstepVecEnv(worldstep.make_vec("CartPole-v0", 2))
