"""Vectors of truth environments through a real server."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import worldstep
from worldstep.autoreset import AutoresetMode

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(params=worldstep.TASKS)
def envs(request):
    made = worldstep.make_vec(request.param, num_envs=3)
    yield made
    made.close()


def rollout(envs, steps: int = 40) -> list:
    """Rewards and observations under fixed actions."""
    envs.action_space.seed(5)
    out = []
    for _ in range(steps):
        observations, rewards, terminated, truncated, _ = envs.step(envs.action_space.sample())
        out.append((observations.tobytes(), rewards.tolist(), terminated.tolist(), truncated.tolist()))
    return out


def test_it_is_a_gymnasium_vector_env(envs) -> None:
    assert isinstance(envs, gymnasium.vector.VectorEnv)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    observations, infos = envs.reset(seed=1)
    assert observations in envs.observation_space
    assert infos == {}
    observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
    assert observations in envs.observation_space
    assert rewards.shape == terminated.shape == truncated.shape == (3,)
    assert (rewards.dtype, terminated.dtype) == (np.float64, bool)
    assert infos["success"].dtype == infos["_success"].dtype == bool


def test_reward_terms_add_up(envs) -> None:
    envs.reset(seed=1)
    _, rewards, _, _, infos = envs.step(envs.action_space.sample())
    terms = [infos[name] for name in infos if name.startswith("reward/")]
    np.testing.assert_allclose(np.sum(terms, axis=0), rewards, atol=1e-6)


def test_same_seed_same_rollout(envs) -> None:
    envs.reset(seed=3)
    first = rollout(envs)
    envs.reset(seed=3)
    assert rollout(envs) == first
    envs.reset(seed=4)
    assert rollout(envs) != first


def test_environment_i_is_seeded_with_seed_plus_i(envs) -> None:
    together, _ = envs.reset(seed=3)
    apart, _ = envs.reset(seed=[5, 4, 3])
    np.testing.assert_array_equal(together, apart[::-1])


def test_unseeded_environments_differ_from_run_to_run() -> None:
    starts = []
    for _ in range(2):
        envs = worldstep.make_vec("CartPole-v0", num_envs=3)
        starts.append(envs.reset()[0])
        envs.close()
    assert not np.array_equal(*starts)


def test_saved_states_continue_bitwise(envs) -> None:
    envs.reset(seed=3)
    rollout(envs, 7)
    state = envs.save_state()
    assert isinstance(state, bytes)
    first = rollout(envs)
    envs.load_state(state)
    assert rollout(envs) == first


def test_the_next_step_after_the_end_starts_anew(envs) -> None:
    envs.reset(seed=0)
    ended = np.zeros(3, dtype=bool)
    for _ in range(envs.max_episode_steps + 1):
        _, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
        assert not rewards[ended].any()
        assert not (terminated | truncated)[ended].any()
        assert not infos.get("_success", np.zeros(3, dtype=bool))[ended].any()
        if ended.any():
            return
        ended = terminated | truncated
    pytest.fail("no episode ended")


def test_disabled_autoreset_resets_by_mask() -> None:
    envs = worldstep.make_vec("CartPole-v0", num_envs=3, autoreset_mode=AutoresetMode.DISABLED)
    before, _ = envs.reset(seed=0)
    after, _ = envs.reset(seed=9, options={"reset_mask": np.array([False, True, False])})
    assert np.array_equal(before[[0, 2]], after[[0, 2]])
    assert not np.array_equal(before[1], after[1])
    with pytest.raises(worldstep.ResetNeeded):
        for _ in range(envs.max_episode_steps + 1):
            envs.step(envs.action_space.sample())
    envs.close()


def test_a_masked_reset_gives_infos_of_no_other_environment() -> None:
    envs = worldstep.make_vec("CartPole-v0", num_envs=3, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=0)
    _, _, _, _, infos = envs.step(envs.action_space.sample())
    assert infos["_success"].all()
    mask = np.array([False, True, False])
    _, infos = envs.reset(options={"reset_mask": mask})
    assert not any((infos[name] & ~mask).any() for name in infos if name.startswith("_"))
    _, infos = envs.reset(options={"reset_mask": ~mask})
    assert infos == {}
    envs.close()


def test_two_clients_of_one_server_get_what_each_asked_for(server: str) -> None:
    ours = worldstep.make_vec("CartPole-v0", num_envs=2, address=server)
    theirs = worldstep.make_vec("CatchBehindScreen-v0", num_envs=4, address=server)
    ours.reset(seed=1)
    theirs.reset(seed=1)
    first = rollout(ours, 5), rollout(theirs, 5)
    theirs.reset(seed=1)
    ours.reset(seed=1)
    assert (rollout(ours, 5), rollout(theirs, 5)) == first
    assert ours.metrics()["sessions"] == 2
    theirs.close()
    assert ours.metrics()["sessions"] == 1
    ours.close()


def test_metrics_tell_waits_and_batches(envs) -> None:
    envs.reset(seed=0)
    _, _, _, _, infos = envs.step(envs.action_space.sample())
    figures = envs.metrics()
    assert figures["env_steps"] >= 3
    assert figures["batch_envs_p50"] == 3
    assert figures["wait_ms_p99"] >= figures["wait_ms_p50"] >= 0
    assert not {"wait_ms", "latency", "time"} & infos.keys()
