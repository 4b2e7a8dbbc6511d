"""What is asked of a CUDA driver, and in which order: Python stands in for it, host memory for its card."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import worldstep
from worldstep import cuda_card
from worldstep.cuda_card import CudaCard
from worldstep.dlpack import CUDA

UUID = bytes(range(16))
KEY = bytes(range(100, 116))
EVENTS = [bytes([number]) * 64 for number in range(1, 6)]
HANDLES = {
    "card": f"cuda:{UUID.hex()}",
    "memory": list(bytes([9]) * 64),
    "key": list(KEY),
    "offset": 64,
    "slots": 3,
    "slot_len": 32,
    "events": [list(event) for event in EVENTS[:3]],
    "actions_offset": 160,
    "action_slots": 2,
    "action_slot_len": 16,
    "action_events": [list(event) for event in EVENTS[3:]],
}
SHAPE, DTYPE = (2, 4), np.dtype("<f4")


class Driver:
    """The driver's functions, on memory of the host; what `failing` names fails."""

    def __init__(self) -> None:
        self.memory = ctypes.create_string_buffer(KEY, 256)
        self.calls: list[tuple[Any, ...]] = []
        self.failing = ""
        self.current = 0

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            if name == self.failing:
                return 101
            return getattr(self, f"_{name}", self._noted)(*arguments) or 0

        def noted(*arguments: Any) -> int:
            self.calls.append((name, *(getattr(one, "value", one) for one in arguments)))
            return 0

        if name.startswith("_"):
            raise AttributeError(name)
        self._noted = noted
        return call

    def _cuCtxPushCurrent_v2(self, _: Any) -> None:
        self.current += 1

    def _cuCtxPopCurrent_v2(self, _: Any) -> None:
        self.current -= 1

    def _cuGetErrorString(self, _: int, text: Any) -> None:
        text._obj.value = b"it has gone"

    def _cuDeviceGetUuid_v2(self, uuid: Any, _: Any) -> None:
        uuid._obj[:] = UUID

    def _cuStreamCreate(self, stream: Any, flags: int) -> None:
        assert flags == 1, "not ordered with the default stream"
        stream._obj.value = 77

    def _cuIpcOpenMemHandle_v2(self, address: Any, handle: Any, flags: int) -> None:
        assert (bytes(handle), flags) == (bytes([9]) * 64, 1)
        address._obj.value = ctypes.addressof(self.memory)

    def _cuIpcOpenEventHandle(self, event: Any, handle: Any) -> None:
        event._obj.value = 1000 + bytes(handle)[0]

    def _cuMemcpyDtoH_v2(self, to: Any, source: Any, length: Any) -> None:
        ctypes.memmove(to, source.value, length.value)

    def _cuMemcpyDtoDAsync_v2(self, to: Any, source: Any, length: Any, stream: Any) -> None:
        ctypes.memmove(to.value, source.value, length.value)
        self.calls.append(("copy", to.value - ctypes.addressof(self.memory), length.value, stream.value))

    def told(self, *names: str) -> list[tuple[Any, ...]]:
        """Calls of these functions since the last time, in their order."""
        told, self.calls = [call for call in self.calls if call[0] in names], []
        return told


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setattr(cuda_card.ctypes, "CDLL", lambda name: driver)
    return driver


class OnCard:
    """A policy's actions on the card, which wait for nothing but what they are told of."""

    def __init__(self, actions: np.ndarray, driver: Driver) -> None:
        self.actions, self.driver = actions, driver
        self.streams: list[int | None] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return (CUDA, 0)

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        self.streams.append(stream)
        assert self.driver.current > 0, "frameworks hand out what is on the current card"
        return self.actions.__dlpack__(**options)


def test_a_consumers_stream_waits_for_the_slot_it_reads(driver: Driver) -> None:
    slots = CudaCard(0).open(HANDLES)
    array = slots.array((1).to_bytes(4, "little"), SHAPE, DTYPE)
    assert array.__dlpack_device__() == (CUDA, 0)
    assert array.address == ctypes.addressof(driver.memory) + 64 + 32
    driver.told()
    for stream, expected in ((None, 1), (1, 1), (2, 2), (4711, 4711)):
        array.__dlpack__(stream=stream)
        assert driver.told("cuStreamWaitEvent") == [("cuStreamWaitEvent", expected, 1002, 0)]
    array.__dlpack__(stream=-1, max_version=(1, 0))
    assert driver.told("cuStreamWaitEvent") == []


def test_numbers_come_to_host_memory_when_they_are_there(driver: Driver) -> None:
    array = CudaCard(0).open(HANDLES).array(bytes(4), SHAPE, DTYPE)
    numbers = np.arange(8, dtype=DTYPE).reshape(SHAPE)
    ctypes.memmove(array.address, numbers.ctypes.data, numbers.nbytes)
    driver.told()
    np.testing.assert_array_equal(np.asarray(array), numbers)
    assert driver.told("cuEventSynchronize") == [("cuEventSynchronize", 1001)]


def test_actions_are_copied_behind_what_computes_them_and_then_marked(driver: Driver) -> None:
    slots = CudaCard(0).open(HANDLES)
    driver.told()
    for seq, (offset, event) in ((6, (160, 1004)), (7, (176, 1005)), (8, (160, 1004))):
        actions = OnCard(np.full((2, 2), seq, DTYPE), driver)
        assert slots.holds(actions)
        slots.put_actions(seq, actions, (2, 2), DTYPE)
        assert actions.streams == [77], "the stream that copies waits for them"
        assert driver.told("copy", "cuEventRecord", "cuEventSynchronize") == [
            ("copy", offset, 16, 77),
            ("cuEventRecord", event, 77),
            ("cuEventSynchronize", event),
        ]
        assert driver.memory[offset : offset + 16] == actions.actions.tobytes()
    assert not slots.holds(np.zeros(4)), "host memory"


def test_actions_of_some_environments_go_to_their_rows(driver: Driver) -> None:
    slots = CudaCard(0).open(HANDLES)
    driver.told()
    actions = OnCard(np.arange(1, 4, dtype=DTYPE).reshape(3, 1), driver)
    slots.put_actions(6, actions, (3, 1), DTYPE, np.array([2, 3, 0]))
    assert driver.told("copy", "cuEventRecord") == [
        ("copy", 168, 8, 77),
        ("copy", 160, 4, 77),
        ("cuEventRecord", 1004, 77),
    ]
    assert np.frombuffer(driver.memory[160:176], DTYPE).tolist() == [3, 0, 1, 2]
    with pytest.raises(ValueError, match="20 bytes in slot"):
        slots.put_actions(6, actions, (3, 1), DTYPE, np.array([2, 3, 4]))


def test_everything_is_closed_with_the_last_array(driver: Driver) -> None:
    slots = CudaCard(0).open(HANDLES)
    array = slots.array(bytes(4), SHAPE, DTYPE)
    driver.told()
    del slots
    assert driver.told("cuIpcCloseMemHandle") == []
    address = ctypes.addressof(driver.memory)
    del array
    closed = driver.told("cuCtxSynchronize", "cuEventDestroy_v2", "cuStreamDestroy_v2", "cuIpcCloseMemHandle")
    assert closed.pop(0) == ("cuCtxSynchronize",), "nothing reads it any more"
    assert sorted(closed) == sorted(
        [("cuEventDestroy_v2", 1000 + number) for number in range(1, 6)]
        + [("cuStreamDestroy_v2", 77), ("cuIpcCloseMemHandle", address)]
    )


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"card": "cuda:" + "0" * 32}, "expected cuda:000102"),
        ({"key": [0] * 16}, "another session's memory"),
        ({"memory": [1] * 63}, "63 bytes, expected 64"),
        ({"action_events": [[1] * 64]}, "2 slots with 1 events"),
    ],
)
def test_handles_that_are_not_of_this_card_are_refused(driver: Driver, wrong: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        CudaCard(0).open({**HANDLES, **wrong})


def test_what_the_driver_refuses_is_told_in_its_words(driver: Driver) -> None:
    driver.failing = "cuIpcOpenMemHandle_v2"
    with pytest.raises(OSError, match=r"cuIpcOpenMemHandle_v2: it has gone \(101\)"):
        CudaCard(0).open(HANDLES)
    driver.failing = "cuDeviceGet"
    with pytest.warns(worldstep.HostMemoryWarning, match=r"cuDeviceGet: it has gone \(101\)"):
        envs = worldstep.make_vec("CatchBehindScreen-v0", 2, obs="rgb", device="cuda:7")
    assert isinstance(envs.reset(seed=0)[0], np.ndarray)
    envs.close()
