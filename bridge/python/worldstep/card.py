"""Observations that stay on the card that the policy runs on, and actions that never leave it.

The server offers memory of its own on the card: slots for observations, which it writes in turn, and slots
for actions. `Card.open` opens them; arrays of them go to PyTorch or JAX without a copy.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from collections import deque
from typing import Any, Protocol

import numpy as np

from worldstep.dlpack import CPU, Borrowed, DeviceArray, borrow
from worldstep.errors import InvalidAction, Unsupported

_KEY_BYTES = 16
Pieces = list[tuple[int, int, int]]
"""What is copied: bytes from the start of where it goes, from the start of what is copied, and how many."""
STAND_IN = "stand-in"
"""A card that is the server's host memory, for tests of what the two sides say to each other."""


class Card(Protocol):
    """A card that this process can open a server's memory on."""

    name: str
    """What the server knows it by."""

    def open(self, handles: dict[str, Any]) -> CardSlots:
        """Open what a server has offered; raise `OSError` or `ValueError` if it is not there."""


class Memory(Protocol):
    """A server's memory on a card, opened; closed when nobody looks at it any more."""

    device: tuple[int, int]

    def array(
        self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], event: bytes | None
    ) -> DeviceArray:
        """Show what lies `offset` bytes from the start, once `event` has been recorded."""

    def borrow(self, array: Any) -> Borrowed:
        """Take another's array that is on the same device."""

    def put(self, offset: int, borrowed: Borrowed, pieces: Pieces, event: bytes | None) -> None:
        """Copy `pieces` of an array behind `offset` bytes from the start, record `event`, and wait for it."""

    def finish(self) -> None:
        """Wait for all that this process has given the device to do."""


class CardSlots:
    """A session's slots on a card."""

    def __init__(self, memory: Memory, handles: dict[str, Any]) -> None:
        """Read where in `memory` they are; raise `ValueError` or `KeyError` for what makes no sense."""
        self._memory = memory
        self._slots = _Row(handles["offset"], handles["slots"], handles["slot_len"], handles["events"])
        self._actions = _Row(
            handles["actions_offset"],
            handles["action_slots"],
            handles["action_slot_len"],
            handles["action_events"],
        )
        # The server has read what comes before these.
        self._borrowed: deque[Borrowed] = deque(maxlen=self._actions.slots)

    def array(self, number: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        """Give the observations in the slot with this number."""
        slot = int.from_bytes(number, "little")
        offset, event = self._slots.at(slot, _nbytes(shape, dtype))
        return self._memory.array(offset, shape, dtype, event)

    def finish(self) -> None:
        """Wait for all that reads what is in the slots."""
        self._memory.finish()

    def holds(self, array: Any) -> bool:
        """Tell whether an array is on the same device."""
        device = getattr(array, "__dlpack_device__", None)
        return device is not None and tuple(map(int, device())) == self._memory.device

    def put_actions(
        self,
        seq: int,
        actions: Any,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        rows: np.ndarray | None = None,
    ) -> None:
        """Copy the actions of the step with number `seq` to where the server looks for them.

        They are those of the environments `rows`, or of all. This waits for whatever computes them. Raise
        `InvalidAction` for another shape or type.
        """
        try:
            borrowed = self._memory.borrow(actions)
        except (BufferError, TypeError, ValueError) as error:
            raise InvalidAction(f"actions cannot be taken from the card: {error}") from error
        if borrowed.shape != shape or borrowed.dtype != dtype:
            raise InvalidAction(
                f"actions on the card are {borrowed.dtype} of shape {borrowed.shape}, "
                f"expected {dtype} of {shape}"
            )
        if not borrowed.is_contiguous:
            raise InvalidAction("actions on the card have gaps between them: make them contiguous")
        pieces = [(0, 0, _nbytes(shape, dtype))] if rows is None else _runs(rows, _nbytes(shape[1:], dtype))
        needed = max(to + length for to, _, length in pieces)
        offset, event = self._actions.at(seq % self._actions.slots, needed)
        self._memory.put(offset, borrowed, pieces, event)
        self._borrowed.append(borrowed)


class _Row:
    """Slots of one length, one after the other, each with its event."""

    def __init__(self, offset: int, slots: int, slot_len: int, events: list[Any]) -> None:
        if slots < 1 or len(events) not in (0, slots):
            raise ValueError(f"{slots} slots with {len(events)} events")
        self.slots = int(slots)
        self._offset, self._slot_len = int(offset), int(slot_len)
        self._events = [bytes(event) for event in events]

    def at(self, slot: int, length: int) -> tuple[int, bytes | None]:
        """Give the offset of `length` bytes in a slot, and the slot's event."""
        if slot >= self.slots or length > self._slot_len:
            raise ValueError(f"{length} bytes in slot {slot} of {self.slots} with {self._slot_len} bytes")
        return self._offset + slot * self._slot_len, self._events[slot] if self._events else None


class StandInCard:
    """Host memory in place of a card: `stand-in`, which only servers that are told to have."""

    name = STAND_IN

    def open(self, handles: dict[str, Any]) -> CardSlots:
        """Map what the server offers."""
        return CardSlots(_HostMemory(handles), handles)


class _HostMemory:
    """The server's memory, mapped."""

    device = (CPU, 0)

    def __init__(self, handles: dict[str, Any]) -> None:
        path = bytes(handles["memory"]).decode("ascii")
        if re.fullmatch(r"/proc/\d+/fd/\d+", path) is None:
            raise ValueError(f"{path!r} is no server's memory")
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), os.fstat(file.fileno()).st_size)
        if self._map[:_KEY_BYTES] != bytes(handles["key"]):
            raise ValueError(f"{path} is another session's memory")
        # As long as something looks at it through this, the mapping stays.
        self._bytes = (ctypes.c_char * len(self._map)).from_buffer(self._map)

    def array(
        self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], event: bytes | None
    ) -> DeviceArray:
        """Show what is there already."""
        self._check(offset, _nbytes(shape, dtype))
        return DeviceArray(ctypes.addressof(self._bytes) + offset, shape, dtype, self.device, self)

    def borrow(self, array: Any) -> Borrowed:
        """Take another's array."""
        return borrow(array)

    def put(self, offset: int, borrowed: Borrowed, pieces: Pieces, event: bytes | None) -> None:
        """Copy at once."""
        for to, source, length in pieces:
            self._check(offset + to, length)
            ctypes.memmove(ctypes.addressof(self._bytes) + offset + to, borrowed.address + source, length)

    def finish(self) -> None:
        """Do nothing: nothing is under way."""

    def _check(self, offset: int, length: int) -> None:
        if offset + length > len(self._bytes):
            raise ValueError(f"{length} bytes from {offset} on, of {len(self._bytes)}")


def find_card(device: str) -> Card | None:
    """Give the card named `cuda:N`, None for `cpu`.

    Raise `Unsupported` for other names, `OSError` if there is no such card here.
    """
    if device == "cpu":
        return None
    if device == STAND_IN:
        return StandInCard()
    named = re.fullmatch(r"cuda(?::(\d+))?", device)
    if named is None:
        raise Unsupported(f"device is {device!r}, expected 'cpu' or 'cuda:N'")
    from worldstep.cuda_card import CudaCard

    return CudaCard(int(named[1] or 0))


def _runs(rows: np.ndarray, row_len: int) -> Pieces:
    """Give the pieces that put one row after the other where `rows` says, those that stay together in one."""
    starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) != 1)
    lengths = np.diff(starts, append=len(rows))
    return [
        (int(rows[start]) * row_len, int(start) * row_len, int(length) * row_len)
        for start, length in zip(starts, lengths, strict=True)
    ]


def _nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
