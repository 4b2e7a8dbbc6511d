"""Observations from a server on the same machine: memory that it writes and this client maps, read-only."""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path
from typing import Any

_KEY_BYTES = 16


def host_id() -> str | None:
    """Name this machine, boot and process namespace, as the server does; None where they cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


class SharedSlots:
    """A session's slots, written in turn; a reply has the number of its slot in place of observations."""

    def __init__(self, described: dict[str, Any]) -> None:
        """Map what the server described; raise `OSError` or `ValueError` if it is not there."""
        self.path: str = described["path"]
        self._slots = int(described["slots"])
        self._slot_len = int(described["slot_len"])
        self._offset = int(described["offset"])
        length = self._offset + self._slots * self._slot_len
        with open(described["path"], "rb") as file:
            if self._slots < 1 or self._offset < _KEY_BYTES or os.fstat(file.fileno()).st_size != length:
                raise ValueError(f"{described['path']} is not the server's shared memory")
            self._map = mmap.mmap(file.fileno(), length, prot=mmap.PROT_READ)
        if self._map[:_KEY_BYTES] != bytes(described["key"]):
            self.close()
            raise ValueError(f"{described['path']} is another process's shared memory")

    def slot(self, number: bytes, length: int) -> memoryview:
        """Give the first `length` bytes of the slot with this number."""
        slot = int.from_bytes(number, "little")
        if length > self._slot_len or slot >= self._slots:
            raise ValueError(f"{length} bytes in slot {slot} of {self._slots} with {self._slot_len} bytes")
        start = self._offset + slot * self._slot_len
        return memoryview(self._map)[start : start + length]

    def close(self) -> None:
        """Unmap it, unless arrays of the caller's still look at it: it goes with the last of them."""
        with contextlib.suppress(BufferError):
            self._map.close()


def open_slots(described: dict[str, Any] | None) -> SharedSlots | None:
    """Open what the server offers; None, for observations by the socket, if it offers or opens nothing."""
    if described is None:
        return None
    try:
        return SharedSlots(described)
    except (OSError, ValueError, KeyError, TypeError):
        return None
