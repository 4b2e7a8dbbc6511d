"""The golden messages, read and written by this side too."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from conftest import GOLDEN

from worldstep import wire
from worldstep.errors import ProtocolError, ServerBusy, error_from_refusal
from worldstep.spaces import space_from_map
from worldstep.wire import Header, Op

SESSION = 0x0102030405060708090A0B0C0D0E0F10
ACTIONS = np.array([0.5, -1.0], dtype="<f4").tobytes()
MAKE = {
    "id": "CartPole-v0",
    "engine": "dream",
    "obs": "state",
    "num_envs": 2,
    "autoreset_mode": "next_step",
}
RANGES = {
    **{name: [1.0, 1.0] for name in ("mass", "inertia", "friction")},
    "restitution": [0.0, 0.0],
    **{name: [1.0, 1.0] for name in ("gravity", "motor_gain", "joint_damping")},
    "latency": [0, 2],
    "sensor_noise": [0.0, 0.0],
    "difficulty": 0.25,
}
MAKE_RANDOMISED = {**MAKE, "engine": "truth", "randomisation": {**RANGES, "mass": [0.5, 1.5]}}
MAKE_SHARED = {**MAKE, "autoreset_mode": "same_step", "shared_memory_host": "host"}
MAKE_CARD = {**MAKE, "shared_memory_host": "host", "card": f"cuda:{bytes(range(16)).hex()}"}
REQUESTS = {
    "hello": (Op.HELLO, []),
    "make": (Op.MAKE, [wire.pack(MAKE)]),
    "make_shared": (Op.MAKE, [wire.pack(MAKE_SHARED)]),
    "make_card": (Op.MAKE, [wire.pack(MAKE_CARD)]),
    "make_randomised": (Op.MAKE, [wire.pack(MAKE_RANDOMISED)]),
    "reset": (Op.RESET, wire.reset_frames([42, None], np.array([True, False]))),
    "reset_options": (
        Op.RESET,
        wire.reset_frames([42, None], np.array([True, False]), {"difficulty": 0.5}),
    ),
    "step": (Op.STEP, [ACTIONS]),
    "step_masked": (Op.STEP, [ACTIONS, b"\x00\x01"]),
    "step_card": (Op.STEP, [b""]),
    "save": (Op.SAVE, []),
    "load": (Op.LOAD, wire.state_frames([b"\x01\x02\x03", b"\x04"])),
    "metrics": (Op.METRICS, []),
    "close": (Op.CLOSE, []),
}


def golden(name: str) -> list[bytes]:
    """Parts of a golden message: each has its length as u32 in front."""
    data = (GOLDEN / f"{name}.bin").read_bytes()
    parts = []
    while data:
        (length,) = struct.unpack_from("<I", data)
        parts.append(data[4 : 4 + length])
        data = data[4 + length :]
    return parts


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_are_the_golden_ones(name: str) -> None:
    op, frames = REQUESTS[name]
    header = Header(op, session=SESSION, epoch=77, seq=5, num_envs=2)
    assert wire.encode(header, frames) == golden(name)


def test_every_golden_message_is_read() -> None:
    names = [path.stem for path in GOLDEN.glob("*.bin")]
    assert set(REQUESTS) <= set(names)
    for name in names:
        header, frames = wire.decode(golden(name))
        assert (header.session, header.epoch, header.seq) == (SESSION, 77, 5)
        assert header.reply == name.endswith("_reply")
        assert header.shared == (name == "step_shared_reply")
        assert header.frames == len(frames)
        assert wire.encode(header, frames) == golden(name), "and written again"


def test_golden_replies_hold_what_the_server_put_in() -> None:
    hello = wire.unpack(wire.decode(golden("hello_reply"))[1])
    assert hello["envs"][0]["modes"] == [["truth", "state"], ["dream", "rgb"]]
    made = wire.unpack(wire.decode(golden("make_reply"))[1])
    assert space_from_map(made["observation_space"]).shape == (2, 2, 3)
    assert space_from_map(made["action_space"]).n == 3
    assert wire.states_from_frames(wire.decode(golden("save_reply"))[1]) == [b"\x01\x02\x03", b"\x04"]
    rewards = np.frombuffer(wire.decode(golden("step_reply"))[1][1], "<f4", count=2)
    assert rewards.tolist() == [1.0, -0.5]
    slots = wire.unpack(wire.decode(golden("make_shared_reply"))[1])["shared_memory"]
    assert (slots["slots"], bytes(slots["key"])) == (3, bytes(range(16)))
    card = wire.unpack(wire.decode(golden("make_card_reply"))[1])["card"]
    assert (card["slots"], card["action_slots"], bytes(card["key"])) == (3, 2, bytes(range(16)))
    assert [len(handle) for handle in (card["memory"], *card["events"], *card["action_events"])] == [64] * 6
    refused = wire.unpack(wire.decode(golden("make_card_refused_reply"))[1])
    assert "card" not in refused and refused["card_refused"] == "no engine on a card"
    for name in ("reset_reply", "load_reply"):
        observations, rest = wire.decode(golden(name))[1]
        assert observations == bytes(range(36, 60))
        # A reward of 0, neither ended nor cut off, for both environments.
        assert rest == bytes(2 * 4 + 2 * 2)
    refusal = wire.unpack(wire.decode(golden("error_reply"))[1])
    assert isinstance(error_from_refusal(refusal), ServerBusy)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parts: [],
        lambda parts: [parts[0][:20], *parts[1:]],
        lambda parts: [b"HTTP" + parts[0][4:], *parts[1:]],
        lambda parts: [parts[0][:4] + b"\x63" + parts[0][5:], *parts[1:]],
        lambda parts: parts[:-1],
    ],
)
def test_malformed_replies_are_refused(spoil) -> None:
    with pytest.raises(ProtocolError):
        wire.decode(spoil(golden("step_reply")))


def test_maps_that_are_none_are_refused() -> None:
    for frames in [[], [b"\xc1"], [b"\x01"], [b"\x81"], [b"\x80", b"\x80"]]:
        with pytest.raises(ProtocolError):
            wire.unpack(frames)
