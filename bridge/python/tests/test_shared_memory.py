"""Observations through memory that server and client share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import worldstep
from worldstep import shared_memory

pytestmark = pytest.mark.filterwarnings("error")
TASK = "CatchBehindScreen-v0"


def rollout(envs, steps: int = 6) -> list[bytes]:
    seen = [envs.reset(seed=4)[0].tobytes()]
    envs.action_space.seed(1)
    for _ in range(steps):
        observations, rewards, *_ = envs.step(envs.action_space.sample())
        seen.append(observations.tobytes() + rewards.tobytes())
    return seen


@pytest.mark.parametrize("obs", ["rgb", "depth"])
def test_it_changes_nothing(obs: str) -> None:
    seen = []
    for share in (True, False):
        envs = worldstep.make_vec(TASK, 4, obs=obs, share_memory=share)
        assert envs._connection.shares_memory == share
        seen.append(rollout(envs))
        mask = np.array([True, False, False, True])
        seen[-1].append(envs.reset(seed=9, options={"reset_mask": mask})[0].tobytes())
        envs.send(envs.action_space.sample()[:2] * 0, [1, 3])
        seen[-1].append(envs.recv()[0].tobytes())
        envs.close()
    assert seen[0] == seen[1]


def test_small_observations_go_by_the_socket() -> None:
    envs = worldstep.make_vec(TASK, 4, obs="state")
    assert not envs._connection.shares_memory
    envs.close()


def test_what_cannot_be_opened_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("another user's")

    monkeypatch.setattr(shared_memory, "SharedSlots", refuse)
    envs = worldstep.make_vec(TASK, 4, obs="rgb")
    assert not envs._connection.shares_memory
    assert rollout(envs)
    envs.close()


def test_views_are_read_only_and_stay_for_two_steps() -> None:
    envs = worldstep.make_vec(TASK, 4, obs="rgb", copy=False)
    first, _ = envs.reset(seed=1)
    assert not first.flags.writeable and not first.flags.owndata
    kept = first.copy()
    for _ in range(2):
        envs.step(envs.action_space.sample())
        # What has no rows takes no slot.
        envs.metrics()
        envs.save_state()
    np.testing.assert_array_equal(first, kept)
    with pytest.raises(ValueError, match="read-only"):
        first[:] = 0
    envs.close()
    assert first.sum() > 0, "still mapped"


def test_arrays_of_the_caller_are_not_written_to() -> None:
    envs = worldstep.make_vec(TASK, 4, obs="rgb")
    first, _ = envs.reset(seed=1)
    kept = first.copy()
    for _ in range(8):
        envs.step(envs.action_space.sample())
    np.testing.assert_array_equal(first, kept)
    assert first.flags.writeable and first.flags.owndata
    envs.close()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def maps_of(pid: int | str) -> int:
    return Path(f"/proc/{pid}/maps").read_text().count("memfd:worldstep")


def test_it_is_freed_when_its_session_ends(server: str) -> None:
    """On both sides: mappings and file descriptors return to where they were."""
    keeper = worldstep.make_vec(TASK, 1, address=server)
    before = maps_of("self"), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        envs = worldstep.make_vec(TASK, 4, obs="rgb", address=server)
        assert envs._connection.shares_memory
        path = envs._connection._slots.path
        pid = path.split("/")[2]
        envs.reset(seed=0)
        envs.close()
        # The engine's thread frees it, after the client has been answered.
        wait_until(lambda path=path: not os.path.exists(path))
    assert (maps_of("self"), len(os.listdir("/proc/self/fd"))) == before
    assert maps_of(pid) == 0
    keeper.close()
