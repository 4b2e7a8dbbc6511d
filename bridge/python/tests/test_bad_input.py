"""Whatever is wrong raises its own exception, with a message that says what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import worldstep


@pytest.fixture
def envs():
    made = worldstep.make_vec("CartPole-v0", num_envs=2)
    made.reset(seed=0)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        (np.zeros((3, 1), dtype=np.float32), "shape"),
        (np.zeros(2, dtype=np.float32), "shape"),
        ([[0.0], [0.0, 1.0]], "no array"),
        (np.array([["a"], ["b"]]), "expected float32"),
        (np.array([[np.nan], [0.0]], dtype=np.float32), "NaN"),
        (np.array([[1e6], [0.0]], dtype=np.float32), "outside"),
    ],
)
def test_wrong_actions_raise_and_step_nothing(envs, actions, says: str) -> None:
    state = envs.save_state()
    with pytest.raises(worldstep.InvalidAction, match=says):
        envs.step(actions)
    assert envs.save_state() == state
    envs.step(np.zeros((2, 1), dtype=np.float32))


def test_wrong_discrete_actions_raise() -> None:
    env = worldstep.make("CatchBehindScreen-v0")
    env.reset(seed=0)
    for action in [99, -1, 0.5, [0]]:
        with pytest.raises(worldstep.InvalidAction):
            env.step(action)
    env.close()


def test_an_unknown_task_lists_the_known_ones() -> None:
    with pytest.raises(worldstep.UnknownTask, match="CartPole-v0"):
        worldstep.make_vec("Juggle-v0")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"num_envs": 0}, worldstep.WorldstepError),
        ({"num_envs": 10**6}, worldstep.LimitExceeded),
        ({"engine": "quantum"}, worldstep.Unsupported),
        ({"obs": "smell"}, worldstep.Unsupported),
        ({"render_mode": "rgb_array"}, worldstep.Unsupported),
        ({"address": "carrier://pigeon"}, worldstep.ServerNotFound),
    ],
)
def test_impossible_environments_raise(arguments: dict, error: type) -> None:
    with pytest.raises(error):
        worldstep.make_vec("CartPole-v0", **arguments)


def test_a_missing_model_is_named(tmp_path) -> None:
    with pytest.raises(worldstep.WorldstepError, match="nothing-here"):
        worldstep.make_vec("CartPole-v0", engine="dream", model=str(tmp_path / "nothing-here"))


@pytest.mark.parametrize("file", ["tokenizer.safetensors", "dynamics.safetensors", "model.json"])
def test_a_truncated_checkpoint_is_named(models: str, tmp_path: Path, file: str) -> None:
    task = "CatchBehindScreen-v0"
    shutil.copytree(f"{models}/{task}", tmp_path / task)
    damaged = tmp_path / task / file
    damaged.write_bytes(damaged.read_bytes()[:1000])
    with pytest.raises(worldstep.EngineError, match=f"{file}.*damaged"):
        worldstep.make_vec(task, engine="dream", model=str(tmp_path))


def test_no_graphics_driver_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, no_server_yet: None
) -> None:
    for name in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES"):
        monkeypatch.setenv(name, "/nonexistent/driver.json")
    with pytest.raises(worldstep.EngineError, match="mesa-vulkan-drivers"):
        worldstep.make_vec("CartPole-v0", obs="rgb")


def test_nobody_at_the_address(monkeypatch) -> None:
    monkeypatch.setattr("worldstep.connection.HELLO_TIMEOUT_S", 0.5)
    with pytest.raises(worldstep.ServerNotFound, match="worldstep serve"):
        worldstep.make_vec("CartPole-v0", address="tcp://127.0.0.1:9")


def test_no_command_to_start(monkeypatch) -> None:
    monkeypatch.setenv("WORLDSTEP_BIN", "/nowhere/worldstep")
    with pytest.raises(worldstep.ServerNotFound, match="WORLDSTEP_BIN"):
        worldstep.make_vec("CartPole-v0", model="another")


def test_stepping_before_reset_and_after_close() -> None:
    envs = worldstep.make_vec("CartPole-v0", num_envs=2)
    actions = envs.action_space.sample()
    with pytest.raises(worldstep.ResetNeeded):
        envs.step(actions)
    envs.close()
    envs.close()
    with pytest.raises(gymnasium.error.ClosedEnvironmentError):
        envs.step(actions)


def test_bytes_that_are_no_state(envs) -> None:
    state = envs.save_state()
    spoilt = bytearray(state)
    spoilt[len(spoilt) // 2] ^= 0xFF
    for bad in [b"", b"nonsense", state[:-1], state + b"x", bytes(spoilt)]:
        with pytest.raises(worldstep.InvalidState):
            envs.load_state(bad)
    assert envs.save_state() == state
    single = worldstep.make("CatchBehindScreen-v0")
    single.reset(seed=0)
    other = worldstep.make("CartPole-v0")
    other.reset(seed=0)
    with pytest.raises(worldstep.InvalidState):
        single.load_state(other.save_state())
    single.close()
    other.close()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"seed": [1, 2, 3]}, "3 seeds"),
        ({"seed": -1}, "greater or equal to zero"),
        ({"seed": [-1, 0]}, "negative"),
        ({"options": {"reset_mask": np.array([1, 0])}}, "reset_mask"),
        ({"options": {"difficulty": "hard"}}, "difficulty is no number"),
        ({"options": {"difficulty": 1.5}}, "expected 0 to 1"),
    ],
)
def test_wrong_reset_arguments(envs, arguments: dict, says: str) -> None:
    with pytest.raises(gymnasium.error.Error, match=says):
        envs.reset(**arguments)


def test_options_that_no_task_has_are_refused() -> None:
    env = worldstep.make("CartPole-v0")
    with pytest.raises(worldstep.WorldstepError, match=r"'gravity'.*reset_mask"):
        env.reset(options={"gravity": -1.6})
    env.reset(options={})
    env.close()
