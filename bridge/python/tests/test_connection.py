"""What comes damaged is passed over; what cannot be understood at all is told at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import zmq

import worldstep
from worldstep import wire
from worldstep.connection import Connection
from worldstep.wire import Header, Op

Answer = Callable[[list[bytes]], list[list[bytes]]]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Starts a server that sends, for one message, those that a function makes of it; gives its address."""
    sockets, threads = [], []

    def start(answer: Answer) -> str:
        socket = zmq.Context.instance().socket(zmq.ROUTER)
        socket.linger, socket.rcvtimeo = 0, 10_000
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        sockets.append(socket)

        def run() -> None:
            route, *parts = socket.recv_multipart()
            for message in answer(parts):
                socket.send_multipart([route, *message])

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"tcp://127.0.0.1:{port}"

    yield start
    for thread in threads:
        thread.join()
    for socket in sockets:
        socket.close()


def hello(parts: list[bytes]) -> list[bytes]:
    """The proper answer."""
    asked, _ = wire.decode(parts)
    return wire.encode(replace(asked, reply=True), [wire.pack({"version": "0"})])


def test_damaged_answers_are_passed_over(serve) -> None:
    def answer(parts: list[bytes]) -> list[list[bytes]]:
        good = hello(parts)
        other = wire.encode(Header(Op.HELLO, True, seq=99), [wire.pack({"version": "another"})])
        return [[b"noise"], [good[0][:20], *good[1:]], good[:1], [*good, b""], other, good]

    connection = Connection(serve(answer), 5.0)
    assert connection.hello() == {"version": "0"}
    connection.disconnect()


def test_another_version_is_told_at_once(serve) -> None:
    def answer(parts: list[bytes]) -> list[list[bytes]]:
        header, *frames = hello(parts)
        return [[header[:4] + b"\x63\x00" + header[6:], *frames]]

    connection = Connection(serve(answer), 60.0)
    with pytest.raises(worldstep.VersionMismatch, match="update"):
        connection.hello()
    connection.disconnect()
