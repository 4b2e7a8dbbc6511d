"""Observations and actions on a card: host memory stands in for one, the messages are the same."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import time
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

import worldstep
from worldstep import connection, cuda_card, dlpack, private_server
from worldstep.card import STAND_IN, CardSlots, StandInCard
from worldstep.dlpack import CPU, DeviceArray
from worldstep.wire import Op

pytestmark = pytest.mark.filterwarnings("error")
TASK = "CatchBehindScreen-v0"


def made(**options) -> worldstep.WorldstepVectorEnv:
    return worldstep.make_vec(TASK, 4, **{"obs": "rgb", "device": STAND_IN, **options})


@pytest.fixture
def envs() -> Iterator[worldstep.WorldstepVectorEnv]:
    made_here = made()
    yield made_here
    made_here.close()


class Borrower:
    """A policy's actions: they are on the card, and NumPy must not see them."""

    def __init__(self, actions: np.ndarray, device: tuple[int, int] = (CPU, 0)) -> None:
        self._actions, self._device = actions, device

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device

    def __dlpack__(self, **options) -> object:
        return self._actions.__dlpack__(**options)

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("on a card")


def test_consumers_share_the_memory_of_a_slot(envs) -> None:
    observations, _ = envs.reset(seed=3)
    assert isinstance(observations, DeviceArray) and observations.__dlpack_device__() == (CPU, 0)
    assert (observations.shape, observations.dtype) == ((4, 64, 64, 3), np.uint8)
    first, second = np.from_dlpack(observations), np.asarray(observations)
    assert first.ctypes.data == second.ctypes.data == observations.address
    ctypes.memset(observations.address, 77, 1)
    assert first[0, 0, 0, 0] == second[0, 0, 0, 0] == 77


@pytest.mark.parametrize("engine", ["truth", "dream"])
def test_it_changes_nothing(engine: str) -> None:
    seen = []
    for device in (STAND_IN, "cpu"):
        envs = made(device=device, engine=engine)
        assert envs.device == device
        envs.action_space.seed(1)
        rows = [np.array(envs.reset(seed=4)[0])]
        for _ in range(6):
            observations, rewards, *_ = envs.step(envs.action_space.sample())
            rows += [np.array(observations), rewards]
        mask = np.array([True, False, False, True])
        rows.append(np.array(envs.reset(seed=9, options={"reset_mask": mask})[0]))
        state = envs.save_state()
        envs.send(envs.action_space.sample()[:2] * 0, [1, 3])
        rows.append(np.array(envs.recv()[0]))
        rows.append(np.array(envs.load_state(state)))
        envs.close()
        seen.append(rows)
    for on_card, in_host_memory in zip(*seen, strict=True):
        np.testing.assert_array_equal(on_card, in_host_memory)


def test_a_refused_state_leaves_observations_as_they_were() -> None:
    seen = []
    for device in (STAND_IN, "cpu"):
        envs = made(device=device)
        envs.reset(seed=4)
        lengths = np.frombuffer(envs.save_state()[18 : 18 + 32], "<u8")
        for _ in range(3):
            envs.step(np.zeros(envs.action_space.shape, envs.action_space.dtype))
        state = bytearray(envs.save_state())
        state[-int(lengths[-1]) :] = bytes(int(lengths[-1]))
        with pytest.raises(worldstep.InvalidState):
            envs.load_state(bytes(state))
        mask = np.array([True, False, False, False])
        seen.append(np.array(envs.reset(seed=9, options={"reset_mask": mask})[0]))
        envs.close()
    np.testing.assert_array_equal(*seen)


def test_a_slot_stays_for_two_more_steps(envs) -> None:
    first, _ = envs.reset(seed=1)
    addresses = [first.address]
    for step in range(4):
        kept = np.array(first)
        observations, *_ = envs.step(envs.action_space.sample())
        envs.metrics()
        addresses.append(observations.address)
        if step < 2:
            np.testing.assert_array_equal(first, kept)
    assert addresses[3:] == addresses[:2] and len(set(addresses)) == 3


def test_actions_on_the_card_do_what_others_do() -> None:
    seen = []
    for wrap in (Borrower, np.asarray):
        envs = made()
        envs.reset(seed=2)
        envs.action_space.seed(5)
        rewards = []
        for _ in range(5):
            observations, reward, *_ = envs.step(wrap(envs.action_space.sample()))
            rewards.append(reward)
        seen.append((np.array(observations), np.array(rewards)))
        envs.close()
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    np.testing.assert_array_equal(seen[0][1], seen[1][1])


def test_groups_are_sent_actions_on_the_card() -> None:
    seen = []
    for wrap in (Borrower, np.asarray):
        envs = made()
        envs.reset(seed=2)
        envs.action_space.seed(5)
        rows = []
        for _ in range(5):
            actions = envs.action_space.sample()
            groups = [np.array([3, 1]), np.array([0, 2])]
            for group in groups:
                envs.send(wrap(actions[group]), group)
            for group in groups:
                observations, rewards, _, _, infos = envs.recv()
                assert infos["env_id"].tolist() == sorted(group)
                rows += [np.array(observations), rewards]
        seen.append(rows)
        with pytest.raises(worldstep.InvalidAction, match="99"):
            envs.send(wrap(np.full_like(actions[:1], 99)), [1])
            envs.recv()
        # What is left in the slots' other rows does no harm.
        for _ in range(2):
            envs.send(wrap(actions[:2]), [0, 2])
            envs.recv()
        envs.close()
    for on_card, in_host_memory in zip(*seen, strict=True):
        np.testing.assert_array_equal(on_card, in_host_memory)


def test_actions_on_the_card_that_do_not_fit_are_refused(envs) -> None:
    envs.reset(seed=2)
    right = envs.action_space.sample()
    wide = np.repeat(right, 2, axis=0)
    for actions, complaint in (
        (right[:2], "shape"),
        (right.astype(np.float16), "float16"),
        (wide[::2], "contiguous"),
    ):
        with pytest.raises(worldstep.InvalidAction, match=complaint):
            envs.step(Borrower(actions))
    with pytest.raises(worldstep.InvalidAction, match="no array"):
        envs.step(Borrower(right, (dlpack.CUDA, 0)))
    with pytest.raises(worldstep.InvalidAction, match="99"):
        envs.step(Borrower(np.full_like(right, 99)))
    envs.step(Borrower(right))


def test_the_last_observations_of_episodes_come_in_host_memory() -> None:
    envs = made(autoreset_mode="SameStep")
    envs.reset(seed=2)
    for _ in range(envs.max_episode_steps):
        observations, _, terminated, truncated, infos = envs.step(envs.action_space.sample())
        assert isinstance(observations, DeviceArray)
        if (terminated | truncated).any():
            break
    ended = np.flatnonzero(infos["_final_obs"])
    assert len(ended) and infos["final_obs"][ended[0]].shape == (64, 64, 3)
    envs.close()


def test_what_reads_is_waited_for_and_memory_let_go_before_the_server_takes_it(
    envs, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    envs.reset(seed=0)
    memory = envs._connection.card._memory
    kept, ask = weakref.ref(memory), envs._connection.ask
    monkeypatch.setattr(type(memory), "finish", lambda _: told.append("finish"))
    del memory

    def note(op: Op, *more, **options):
        told.append((op, kept() is None))
        return ask(op, *more, **options)

    monkeypatch.setattr(envs._connection, "ask", note)
    envs.reset(seed=1)
    envs.load_state(envs.save_state())
    assert told == ["finish", (Op.SAVE, False), "finish"]
    told.clear()
    envs.close()
    assert told == ["finish", (Op.CLOSE, True)]


def test_arrays_keep_the_memory_until_the_last_is_gone() -> None:
    envs = made()
    observations, _ = envs.reset(seed=0)
    memory = weakref.ref(observations._owner)
    shown = np.from_dlpack(observations)
    expected = shown.copy()
    envs.close()
    del observations, envs
    gc.collect()
    assert memory() is not None
    np.testing.assert_array_equal(shown, expected)
    del shown
    gc.collect()
    assert memory() is None
    assert not dlpack._handed_out


@contextlib.contextmanager
def warned(*expected: str) -> Iterator[None]:
    """One line says why observations stay in host memory, and what would make it work."""
    with pytest.warns(worldstep.HostMemoryWarning) as caught:
        yield
    (message,) = [str(one.message) for one in caught]
    assert message.startswith("observations stay in host memory: ") and "\n" not in message
    for part in expected:
        assert part in message


def check_in_host_memory(envs: worldstep.WorldstepVectorEnv, shares_memory: bool = True) -> None:
    observations, _ = envs.reset(seed=0)
    assert isinstance(observations, np.ndarray) and envs.device == "cpu"
    assert envs._connection.shares_memory == shares_memory
    np.testing.assert_array_equal(np.from_dlpack(observations), observations)
    envs.step(envs.action_space.sample())
    envs.close()


def test_a_server_without_a_card_says_so(server: str) -> None:
    with warned("the server steps truth on the processor", 'engine="dream"'):
        check_in_host_memory(made(address=server))


def test_a_machine_without_a_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(cuda_card.ctypes, "CDLL", refuse)
    with warned("no NVIDIA driver here", "device='cpu'"):
        check_in_host_memory(made(device="cuda:0"))


def test_a_private_server_that_cannot_dream_there_says_so(
    monkeypatch: pytest.MonkeyPatch, no_server_yet: None
) -> None:
    monkeypatch.setitem(private_server._DEVICE_FLAGS, STAND_IN, ["--device", "nowhere"])
    with warned("did not start", "nowhere"):
        check_in_host_memory(made())


def test_a_server_of_another_place_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "host_id", lambda: "elsewhere pid:[1]")
    with warned("share no machine"):
        check_in_host_memory(made(), shares_memory=False)


def test_a_server_from_before_cards_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = connection.Connection._open

    def open_without(self: connection.Connection, request: dict, share_memory: bool) -> dict:
        return opened(self, {key: value for key, value in request.items() if key != "card"}, share_memory)

    monkeypatch.setattr(connection.Connection, "_open", open_without)
    with warned("knows nothing of cards", "update"):
        check_in_host_memory(made())


def test_handles_that_cannot_be_opened_are_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = StandInCard.open

    def open_stale(card: StandInCard, handles: dict) -> CardSlots:
        return opened(card, {**handles, "key": [0] * 16})

    monkeypatch.setattr(StandInCard, "open", open_stale)
    with warned("cannot be opened", "another session's memory"):
        envs = made()
        assert envs.metrics()["sessions"] == 1, "the session with the slots is closed"
        check_in_host_memory(envs)


@pytest.fixture
def offered(envs) -> Iterator[dict]:
    """What a server offers another session, as long as that is open."""
    told: list[dict] = []

    class Told(StandInCard):
        def open(self, handles: dict) -> CardSlots:
            told.append(handles)
            return super().open(handles)

    other = connection.Connection(envs._connection.address, 30.0, lambda: None)
    request = {"id": TASK, "engine": "truth", "obs": "rgb", "num_envs": 2, "autoreset_mode": "next_step"}
    other.open(request, card=Told())
    yield told[0]
    other.ask(Op.CLOSE)
    other.disconnect()
    # The engine's thread frees it, after the client has been answered.
    deadline = time.monotonic() + 5
    while os.path.exists(bytes(told[0]["memory"])):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(FileNotFoundError):
        StandInCard().open(told[0])


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"memory": list(b"/etc/passwd")}, "no server's memory"),
        ({"slots": 0}, "0 slots"),
        ({"events": [[1] * 64]}, "1 events"),
        ({"key": [1] * 16}, "another session's"),
    ],
)
def test_handles_that_make_no_sense_are_refused(offered: dict, wrong: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        StandInCard().open({**offered, **wrong})


def test_slots_that_are_not_in_the_memory_are_refused(offered: dict) -> None:
    slots = StandInCard().open({**offered, "offset": 1 << 40})
    with pytest.raises(ValueError, match="bytes from"):
        slots.array(bytes(4), (1,), np.dtype(np.uint8))


def test_slots_beyond_the_last_are_refused(envs) -> None:
    card = envs._connection.card
    with pytest.raises(ValueError, match="slot 3 of 3"):
        card.array((3).to_bytes(4, "little"), (1,), np.dtype(np.uint8))
    with pytest.raises(ValueError, match="bytes in slot 0"):
        card.array(bytes(4), (1 << 30,), np.dtype(np.uint8))


def test_names_of_no_device_are_refused() -> None:
    for device in ("gpu", "cuda:x", "tpu:0"):
        with pytest.raises(worldstep.Unsupported, match="expected 'cpu' or 'cuda:N'"):
            made(device=device)
