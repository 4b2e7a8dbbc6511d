"""A server's memory on a CUDA card, opened by this process: libcuda through ctypes, nothing to install."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np

from worldstep.card import CardSlots, Pieces
from worldstep.dlpack import CUDA, Borrowed, DeviceArray, borrow

_HANDLE_BYTES = 64
_LAZY_PEER_ACCESS = 1
_NON_BLOCKING = 1
_KEY_BYTES = 16


class _Handle(ctypes.Structure):
    """`CUipcMemHandle` or `CUipcEventHandle`, which go by value."""

    _fields_ = (("reserved", ctypes.c_char * _HANDLE_BYTES),)


def _handle(data: bytes) -> _Handle:
    if len(data) != _HANDLE_BYTES:
        raise ValueError(f"a handle of {len(data)} bytes, expected {_HANDLE_BYTES}")
    return _Handle.from_buffer_copy(data)


class _Driver:
    """The driver's functions; each raises `OSError` where it fails."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise OSError("no NVIDIA driver here (libcuda.so.1): install it, or use device='cpu'") from error
        self.call("cuInit", 0)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that gives a `CUresult`."""
        try:
            function = getattr(self._library, name)
        except AttributeError as error:
            raise OSError(f"the NVIDIA driver has no {name}: update it") from error
        function.restype = ctypes.c_int
        result = function(*arguments)
        if result:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(result, ctypes.byref(text))
            raise OSError(f"{name}: {(text.value or b'unknown error').decode()} ({result})")


class CudaCard:
    """One card of this machine, by its number here."""

    def __init__(self, number: int) -> None:
        """Find it; raise `OSError` if there is no driver or no such card."""
        self.number = number
        self.driver = _Driver()
        device = ctypes.c_int()
        self.driver.call("cuDeviceGet", ctypes.byref(device), number)
        uuid = (ctypes.c_ubyte * 16)()
        self.driver.call("cuDeviceGetUuid_v2", ctypes.byref(uuid), device)
        self.name = f"cuda:{bytes(uuid).hex()}"
        # That of the frameworks, too.
        self._context = ctypes.c_void_p()
        self.driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)

    @contextlib.contextmanager
    def current(self) -> Iterator[_Driver]:
        """Make its context the thread's, for a while."""
        self.driver.call("cuCtxPushCurrent_v2", self._context)
        try:
            yield self.driver
        finally:
            self.driver.call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    def open(self, handles: dict[str, Any]) -> CardSlots:
        """Open what the server offers."""
        if handles["card"] != self.name:
            raise ValueError(f"the server's memory is on {handles['card']}, expected {self.name}")
        return CardSlots(_CudaMemory(self, handles), handles)


class _CudaMemory:
    """The server's memory, and a stream of this process's for what goes there."""

    def __init__(self, card: CudaCard, handles: dict[str, Any]) -> None:
        self.device = (CUDA, card.number)
        self._card = card
        self._address, self._stream = ctypes.c_uint64(), ctypes.c_void_p()
        self._events: dict[bytes, ctypes.c_void_p] = {}
        with card.current() as driver:
            memory = _handle(bytes(handles["memory"]))
            driver.call("cuIpcOpenMemHandle_v2", ctypes.byref(self._address), memory, _LAZY_PEER_ACCESS)
            driver.call("cuStreamCreate", ctypes.byref(self._stream), _NON_BLOCKING)
            for data in map(bytes, [*handles["events"], *handles["action_events"]]):
                event = ctypes.c_void_p()
                driver.call("cuIpcOpenEventHandle", ctypes.byref(event), _handle(data))
                self._events[data] = event
        if self._to_host(self._address.value, _KEY_BYTES) != bytes(handles["key"]):
            raise ValueError("another session's memory")

    def __del__(self) -> None:
        """Close it; arrays have kept it until here."""
        with contextlib.suppress(OSError):
            self.finish()
        closed: list[tuple[str, Any]] = [("cuEventDestroy_v2", event) for event in self._events.values()]
        closed += [("cuStreamDestroy_v2", self._stream)] if self._stream else []
        closed += [("cuIpcCloseMemHandle", self._address)] if self._address else []
        for name, thing in closed:
            # One that fails keeps none of the others open.
            with contextlib.suppress(OSError), self._card.current() as driver:
                driver.call(name, thing)

    def finish(self) -> None:
        """Wait for all that this process has given the card to do."""
        with self._card.current() as driver:
            driver.call("cuCtxSynchronize")

    def array(
        self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], event: bytes | None
    ) -> DeviceArray:
        """Show what is there once `event` has been recorded."""

        def order(stream: int | None) -> None:
            if event is not None:
                with self._card.current() as driver:
                    # 1 is the legacy default stream, 2 that of the thread: for DLPack as for the driver.
                    waiting = ctypes.c_void_p(stream or 1)
                    driver.call("cuStreamWaitEvent", waiting, self._events[event], 0)

        def to_host(address: int, length: int) -> bytes:
            if event is not None:
                with self._card.current() as driver:
                    driver.call("cuEventSynchronize", self._events[event])
            return self._to_host(address, length)

        return DeviceArray(self._address.value + offset, shape, dtype, self.device, self, order, to_host)

    def borrow(self, array: Any) -> Borrowed:
        """Take another's array; this memory's stream waits for it."""
        # Frameworks hand out what is on the current card alone.
        with self._card.current():
            return borrow(array, self._stream.value)

    def put(self, offset: int, borrowed: Borrowed, pieces: Pieces, event: bytes | None) -> None:
        """Copy on the stream, record `event` behind that, and wait for it.

        The server would wait as well, and others with it that share its engine.
        """
        with self._card.current() as driver:
            for to, source, length in pieces:
                driver.call(
                    "cuMemcpyDtoDAsync_v2",
                    ctypes.c_uint64(self._address.value + offset + to),
                    ctypes.c_uint64(borrowed.address + source),
                    ctypes.c_size_t(length),
                    self._stream,
                )
            if event is not None:
                driver.call("cuEventRecord", self._events[event], self._stream)
                driver.call("cuEventSynchronize", self._events[event])

    def _to_host(self, address: int, length: int) -> bytes:
        data = ctypes.create_string_buffer(length)
        with self._card.current() as driver:
            driver.call("cuMemcpyDtoH_v2", data, ctypes.c_uint64(address), ctypes.c_size_t(length))
        return data.raw
