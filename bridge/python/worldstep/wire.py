"""Messages as bytes, and back: one header of fixed size, then raw tensors or one MessagePack map.

The Rust side (`bridge/src/wire`) documents the format; the messages in `bridge/golden` hold both sides to it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import msgpack
import numpy as np

from worldstep.errors import InvalidState, ProtocolError, VersionMismatch

MAGIC = b"WSTP"
VERSION = 2
_HEADER = struct.Struct("<4sHBB16sQQII")
_REPLY = 1
_SHARED = 2
_AFTER = 4


Buffer = bytes | memoryview
"""What a frame may be made of."""


class Op(IntEnum):
    """What a message asks for, or answers."""

    HELLO = 1
    MAKE = 2
    RESET = 3
    STEP = 4
    SAVE = 5
    LOAD = 6
    METRICS = 7
    CLOSE = 8
    ERROR = 9


@dataclass(frozen=True)
class Header:
    """The fixed part of every message."""

    op: Op
    reply: bool = False
    session: int = 0
    epoch: int = 0
    seq: int = 0
    num_envs: int = 0
    frames: int = 0
    shared: bool = False
    after: bool = False

    def encode(self) -> bytes:
        """Give the 48 bytes."""
        session = self.session.to_bytes(16, "little")
        flags = (_REPLY if self.reply else 0) | (_SHARED if self.shared else 0)
        flags |= _AFTER if self.after else 0
        rest = (self.epoch, self.seq, self.num_envs, self.frames)
        return _HEADER.pack(MAGIC, VERSION, self.op, flags, session, *rest)


def encode(header: Header, frames: Sequence[Buffer]) -> list[Buffer]:
    """Join header and frames to one message."""
    return [replace(header, frames=len(frames)).encode(), *frames]


def decode(parts: Sequence[bytes]) -> tuple[Header, list[bytes]]:
    """Split a message into its header and its frames; raise `ProtocolError` if it is none."""
    if not parts or len(parts[0]) != _HEADER.size:
        raise ProtocolError(f"message without a header of {_HEADER.size} bytes")
    magic, version, op, flags, session, epoch, seq, num_envs, frames = _HEADER.unpack(parts[0])
    if magic != MAGIC:
        raise ProtocolError("header does not start with WSTP: not a Worldstep server")
    if version != VERSION:
        raise VersionMismatch(
            f"protocol version {version}, this client speaks {VERSION}: update the older side"
        )
    if op not in Op.__members__.values() or flags & ~(_REPLY | _SHARED | _AFTER) or frames != len(parts) - 1:
        raise ProtocolError(f"header with op {op}, flags {flags}, {frames} frames is malformed")
    session = int.from_bytes(session, "little")
    flags = bool(flags & _REPLY), bool(flags & _SHARED)
    header = Header(Op(op), flags[0], session, epoch, seq, num_envs, frames, flags[1])
    return header, list(parts[1:])


def pack(value: dict[str, Any]) -> bytes:
    """Encode a map as MessagePack; numbers with a point have 32 bits."""
    packed: bytes = msgpack.packb(value, use_single_float=True)
    return packed


def unpack(frames: Sequence[bytes]) -> dict[str, Any]:
    """Decode the one MessagePack frame of a message."""
    if len(frames) != 1:
        raise ProtocolError(f"{len(frames)} frames, expected one MessagePack map")
    try:
        value = msgpack.unpackb(frames[0])
    except ValueError as error:
        raise ProtocolError(f"MessagePack frame: {error}") from error
    if not isinstance(value, dict):
        raise ProtocolError(f"MessagePack frame holds {type(value).__name__}, expected a map")
    return value


def reset_frames(
    seeds: Sequence[int | None], mask: np.ndarray, options: Mapping[str, float] | None = None
) -> list[bytes]:
    """Frames of a reset: which environments, which of them are seeded, seeds, and options if any."""
    seeded = np.array([seed is not None for seed in seeds], dtype=np.uint8)
    values = np.array([seed or 0 for seed in seeds], dtype="<u8")
    frames = [mask.astype(np.uint8).tobytes(), seeded.tobytes(), values.tobytes()]
    return [*frames, pack(dict(options))] if options else frames


def state_frames(states: Sequence[bytes]) -> list[bytes]:
    """Frames of a load: lengths, then all states end to end."""
    lengths = np.array([len(state) for state in states], dtype="<u8")
    return [lengths.tobytes(), b"".join(states)]


def states_from_frames(frames: Sequence[bytes]) -> list[bytes]:
    """Invert `state_frames`."""
    if len(frames) != 2 or len(frames[0]) % 8:
        raise InvalidState("not a list of environment states")
    lengths, blob = frames
    ends = np.cumsum(np.frombuffer(lengths, dtype="<u8")).astype(int).tolist()
    if (ends[-1] if ends else 0) != len(blob):
        raise InvalidState(f"states of {ends[-1] if ends else 0} bytes, got {len(blob)}")
    return [blob[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def check_rows(header: Header, frames: Sequence[bytes], count: int, row: tuple[int, int]) -> None:
    """Raise `ProtocolError` unless these are `count` rows; `row`: bytes of an observation, info columns."""
    observation, columns = row
    # The number of their slot, if observations are in shared memory.
    seen = 4 if header.shared else count * observation
    expected = [seen, count * (6 + 5 * columns)]
    if len(frames) == 4:
        ended = sum(frames[3][max(len(frames[3]) - count, 0) :])
        expected += [ended * observation, ended * 5 * columns + count]
    lengths = [len(frame) for frame in frames]
    if header.num_envs != count or lengths != expected:
        raise ProtocolError(f"{header.num_envs} rows in {lengths} bytes, expected {count} in {expected}")
