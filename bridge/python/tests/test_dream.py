"""Dreams through a real server: what holds for truth holds for them."""

from __future__ import annotations

import numpy as np
import pytest

import worldstep
from worldstep import private_server

TASK = "CatchBehindScreen-v0"


@pytest.fixture
def envs(models: str):
    made = worldstep.make_vec(TASK, num_envs=3, engine="dream", model=models)
    yield made
    made.close()


def rollout(envs, steps: int = 6) -> list:
    """Frames and rewards under fixed actions."""
    envs.action_space.seed(5)
    out = []
    for _ in range(steps):
        observations, rewards, *_ = envs.step(envs.action_space.sample())
        out.append((observations.tobytes(), rewards.tolist()))
    return out


def test_it_shows_frames_of_the_same_shape_as_truth(envs) -> None:
    truth = worldstep.make_vec(TASK, num_envs=3, obs="rgb")
    assert envs.observation_space == truth.observation_space
    assert envs.action_space == truth.action_space
    assert envs.reset(seed=0)[0].dtype == np.uint8
    truth.close()


@pytest.mark.parametrize("id", worldstep.DREAMS)
def test_there_are_shipped_weights(id: str) -> None:
    shipped = worldstep.make_vec(id, num_envs=2, engine="dream")
    first, _ = shipped.reset(seed=0)
    shipped.action_space.seed(0)
    for _ in range(5):
        frames, *_, infos = shipped.step(shipped.action_space.sample())
    assert (frames != first).any(), "nothing moves"
    assert (infos["uncertainty"] < 1).all(), "a model that has learned nothing is at 1.7 nats"
    shipped.close()


def test_it_begins_at_truths_frame_3_and_says_how_unsure_it_is(envs) -> None:
    truth = worldstep.make_vec(TASK, num_envs=3, obs="rgb")
    truth.reset(seed=5)
    for _ in range(3):
        frames, *_ = truth.step(np.zeros(3, dtype=np.int64))
    truth.close()
    dreamt, infos = envs.reset(seed=5)
    np.testing.assert_array_equal(dreamt, frames)
    assert infos == {}, "nothing was dreamt yet"
    infos = envs.step(envs.action_space.sample())[4]
    assert set(infos) == {"uncertainty", "_uncertainty"}
    assert infos["_uncertainty"].all() and (infos["uncertainty"] > 0).all()


def test_same_seed_same_dream(envs) -> None:
    envs.reset(seed=3)
    first = rollout(envs)
    envs.reset(seed=3)
    assert rollout(envs) == first
    envs.reset(seed=4)
    assert rollout(envs) != first


def test_saved_dreams_continue_bitwise(envs) -> None:
    envs.reset(seed=3)
    rollout(envs, 3)
    state = envs.save_state()
    first = rollout(envs)
    envs.load_state(state)
    assert rollout(envs) == first


def test_a_second_client_joins_the_same_engine_without_a_trace(envs, models: str) -> None:
    envs.reset(seed=3)
    alone = rollout(envs)
    envs.reset(seed=3)
    halfway = rollout(envs, 3)
    other = worldstep.make_vec(TASK, num_envs=2, engine="dream", model=models)
    other.reset(seed=9)
    assert len(private_server._servers) == 1
    figures = other.metrics()
    assert (figures["pools"], figures["sessions"], figures["pools_grown"]) == (1, 2, 1)
    envs.action_space.seed(5)
    for _ in range(3):
        envs.action_space.sample()
    rest = []
    for _ in range(3):
        observations, rewards, *_ = envs.step(envs.action_space.sample())
        rest.append((observations.tobytes(), rewards.tolist()))
    other.close()
    assert halfway + rest == alone


def test_a_folder_without_a_model_is_named(monkeypatch, tmp_path, no_server_yet: None) -> None:
    monkeypatch.setenv("WORLDSTEP_MODEL", str(tmp_path))
    with pytest.raises(worldstep.ServerNotFound, match=f"{tmp_path}.*worldstep train"):
        worldstep.make_vec(TASK, engine="dream")


def test_the_dream_of_another_task_says_what_to_do(models: str) -> None:
    says = f"dreams {TASK}; for PushCube-v0 record clips and train one .*--model"
    with pytest.raises(worldstep.Unsupported, match=says):
        worldstep.make_vec("PushCube-v0", engine="dream", model=f"{models}/{TASK}")


@pytest.mark.parametrize(("obs", "shape"), [("codes", (8, 8)), ("latent", (96,)), ("state", (12,))])
def test_a_dream_can_be_had_without_pixels(envs, models: str, obs: str, shape: tuple) -> None:
    other = worldstep.make_vec(TASK, num_envs=3, engine="dream", obs=obs, model=models)
    assert other.single_observation_space.shape == shape
    observations, _ = other.reset(seed=3)
    envs.reset(seed=3)
    for _ in range(4):
        assert observations in other.observation_space
        actions = envs.action_space.sample()
        observations, rewards, *flags, _ = other.step(actions)
        _, expected, *expected_flags, _ = envs.step(actions)
        np.testing.assert_array_equal(rewards, expected)
        np.testing.assert_array_equal(flags, expected_flags)
    other.close()


def test_a_temperature_makes_other_dreams_that_come_again(models: str) -> None:
    def dreams(temperature: float | None) -> list:
        envs = worldstep.make_vec(TASK, num_envs=2, engine="dream", temperature=temperature, model=models)
        envs.reset(seed=3)
        out = rollout(envs)
        envs.close()
        return out

    assert dreams(None) == dreams(0.0)
    assert dreams(None) != dreams(1.0) == dreams(1.0)


def test_truth_has_neither_codes_nor_temperature(no_server_yet: None) -> None:
    with pytest.raises(worldstep.Unsupported, match="codes"):
        worldstep.make_vec(TASK, obs="codes")
    with pytest.raises(worldstep.Unsupported, match="temperature"):
        worldstep.make_vec(TASK, temperature=1.0)
    with pytest.raises(worldstep.WorldstepError, match="temperature is -1"):
        worldstep.make_vec(TASK, engine="dream", temperature=-1)
