"""A network that loses, doubles, delays and cuts messages changes no trajectory."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

import worldstep


class Network(threading.Thread):
    """What lies between one client and its server, with faults by a seeded schedule."""

    def __init__(self, server: str, seed: int, cuts: float = 0.0) -> None:
        super().__init__()
        self.cuts = cuts
        self._random = random.Random(seed)
        self._ended = threading.Event()
        self._under_way: list[tuple[float, zmq.Socket, list[bytes]]] = []
        self.suffered = 0
        context = zmq.Context.instance()
        # One client, so its side needs no addresses.
        self._front, self._back = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
        self._front.linger = self._back.linger = 0
        self.address = f"tcp://127.0.0.1:{self._front.bind_to_random_port('tcp://127.0.0.1')}"
        self._back.connect(server)

    def run(self) -> None:
        while not self._ended.is_set():
            for source, target in ((self._front, self._back), (self._back, self._front)):
                while source.poll(1):
                    message = source.recv_multipart()
                    copies = self._random.choice([0, 1, 1, 1, 1, 2])
                    if source is self._back and self._random.random() < self.cuts:
                        message = self._cut(message)
                        self.suffered += 1
                    for _ in range(copies):
                        late = self._random.random() * 0.03
                        self._under_way.append((time.monotonic() + late, target, message))
                    self.suffered += copies != 1
            now = time.monotonic()
            due = [one for one in self._under_way if one[0] <= now]
            self._under_way = [one for one in self._under_way if one[0] > now]
            for _, target, message in due:
                # Whoever has gone loses its messages.
                with contextlib.suppress(zmq.Again):
                    target.send_multipart(message, zmq.DONTWAIT)

    def _cut(self, message: list[bytes]) -> list[bytes]:
        """Cut one frame of an answer short."""
        at = self._random.randrange(len(message))
        cut = list(message)
        cut[at] = cut[at][: self._random.randrange(max(len(cut[at]), 1))]
        return cut

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self._front.close()
        self._back.close()


@pytest.fixture(params=[0.0, 0.2], ids=["whole", "cut"])
def networks(server: str, request: pytest.FixtureRequest) -> Iterator[list[Network]]:
    made = [Network(server, seed, cuts=request.param) for seed in range(3)]
    for network in made:
        network.start()
    yield made
    for network in made:
        network.stop()


def rollout(address: str) -> tuple[np.ndarray, bytes]:
    envs = worldstep.make_vec("CartPole-v0", num_envs=2, address=address)
    observations = [envs.reset(seed=4)[0]]
    for t in range(30):
        observations.append(envs.step(np.full((2, 1), np.sin(t), dtype=np.float32))[0])
    state = envs.save_state()
    observations.append(envs.load_state(state))
    envs.close()
    return np.stack(observations), state


def test_a_bad_network_changes_no_trajectory(
    server: str, networks: list[Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worldstep.connection.RESEND_S", 0.05)
    monkeypatch.setattr("worldstep.connection._POLL_MS", 20)
    good, state = rollout(server)
    for network in networks:
        observations, again = rollout(network.address)
        assert (observations == good).all() and again == state
        assert network.suffered > 10


def in_halves(address: str, obs: str) -> list[np.ndarray]:
    """Two groups under way at a time; observations in shared memory if they are large enough."""
    envs = worldstep.make_vec("PushCube-v0", num_envs=4, obs=obs, address=address)
    assert envs._connection.shares_memory == (obs == "rgb")
    seen = [envs.reset(seed=4)[0]]
    halves = np.split(np.arange(4), 2)
    for half in halves:
        envs.send(np.zeros((2, 2), np.float32), half)
    for t in range(40):
        observations, *_, infos = envs.recv()
        seen.append(observations)
        envs.send(np.full((2, 2), np.sin(t), np.float32), infos["env_id"])
    envs.close()
    return seen


@pytest.mark.parametrize("obs", ["state", "rgb"])
def test_nor_the_order_of_what_is_under_way(
    server: str, networks: list[Network], obs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worldstep.connection.RESEND_S", 0.05)
    monkeypatch.setattr("worldstep.connection._POLL_MS", 20)
    good = in_halves(server, obs)
    for network in networks:
        for one, other in zip(in_halves(network.address, obs), good, strict=True):
            np.testing.assert_array_equal(one, other)
        assert network.suffered > 10


def test_a_network_that_has_gone_is_told_in_time(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldstep.vector_env.TIMEOUT_S", 1.5)
    network = Network(server, 0)
    network.start()
    envs = worldstep.make_vec("CartPole-v0", num_envs=2, address=network.address)
    envs.reset(seed=0)
    network.stop()
    began = time.monotonic()
    with pytest.raises(worldstep.ServerBusy, match="STEP in time"):
        envs.step(np.zeros((2, 1), np.float32))
    assert time.monotonic() - began < 10
    envs.close()
