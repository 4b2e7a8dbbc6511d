"""A client's side of the wire: one request out, its reply in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from worldstep import curve, wire
from worldstep.errors import (
    ProtocolError,
    ServerBusy,
    ServerNotFound,
    VersionMismatch,
    WorldstepError,
    error_from_refusal,
)
from worldstep.wire import Header, Op

HELLO_TIMEOUT_S = 10.0
"""How long a server may take to say hello."""
RESEND_S = 5.0
"""Silence after which a request is sent again; the server answers it once."""
_POLL_MS = 200


class Connection:
    """One socket and, after `open`, one session on a server."""

    def __init__(
        self,
        address: str,
        timeout_s: float,
        check_alive: Callable[[], None] | None = None,
        keys: tuple[str | None, str | None] = (None, None),
    ) -> None:
        """Connect to `address`; `check_alive` raises if the server is known to have ended.

        `keys` are the server's and the client's, as `curve.secure` takes them; a private server has none.
        """
        self.address = address
        self._timeout_s = timeout_s
        self._check_alive = check_alive or (lambda: None)
        self._header = Header(Op.HELLO)
        self._seq = 0
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._has_keys = False
        try:
            # Of a private server, it is known whether it is alive.
            if check_alive is None:
                self._has_keys = curve.secure(self._socket, *keys)
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.disconnect()
            raise ServerNotFound(
                f"cannot connect to {address!r}: {error}; expected tcp://127.0.0.1:PORT or ipc://PATH"
            ) from error
        except WorldstepError:
            self.disconnect()
            raise

    def hello(self) -> dict[str, Any]:
        """Ask the server who it is; raise `ServerNotFound` if nobody answers."""
        try:
            return wire.unpack(self.ask(Op.HELLO, timeout_s=HELLO_TIMEOUT_S))
        except ServerBusy as error:
            raise ServerNotFound(
                f"no Worldstep server answers at {self.address}: "
                "start one with `worldstep serve --bind ADDRESS`, or leave the address out; "
                f"{self._about_keys()}"
            ) from error

    def _about_keys(self) -> str:
        if self._has_keys:
            return (
                "if it runs, it may have another key than server_key, or not admit client_key's public half"
            )
        return "if it runs with --curve-key, it needs server_key and client_key (`worldstep keys` makes them)"

    def open(self, request: dict[str, Any]) -> dict[str, Any]:
        """Open the session that all later requests belong to."""
        header, frames = self._exchange(Op.MAKE, [wire.pack(request)], self._timeout_s)
        self._header = header
        self._seq = 0
        return wire.unpack(frames)

    def ask(self, op: Op, frames: Sequence[bytes] = (), timeout_s: float | None = None) -> list[bytes]:
        """Send one request and return the frames of its reply; raise what the server refuses."""
        return self._exchange(op, frames, timeout_s or self._timeout_s)[1]

    def disconnect(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _exchange(self, op: Op, frames: Sequence[bytes], timeout_s: float) -> tuple[Header, list[bytes]]:
        self._seq += 1
        deadline = time.monotonic() + timeout_s
        message = wire.encode(self._request_header(op), frames)
        while True:
            header, reply = self._round_trip(op, message, deadline)
            if header.op != Op.ERROR:
                return header, reply
            refusal = wire.unpack(reply)
            if refusal["code"] != "busy" or time.monotonic() > deadline:
                raise error_from_refusal(refusal)
            time.sleep(refusal["retry_after_ms"] / 1000)

    def _request_header(self, op: Op) -> Header:
        known = self._header
        return Header(op, False, known.session, known.epoch, self._seq, known.num_envs)

    def _round_trip(self, op: Op, message: list[bytes], deadline: float) -> tuple[Header, list[bytes]]:
        is_sent = self._send(message)
        sent = time.monotonic()
        while True:
            if self._socket.poll(_POLL_MS):
                try:
                    header, frames = wire.decode(self._socket.recv_multipart())
                except VersionMismatch:
                    raise
                except ProtocolError:
                    # Damaged on its way: as good as lost.
                    continue
                if header.seq == self._seq:
                    if header.op not in (op, Op.ERROR) or not header.reply:
                        raise ProtocolError(f"{header.op.name} came in answer to {op.name}")
                    return header, frames
                if header.seq == 0 and header.op == Op.ERROR:
                    raise error_from_refusal(wire.unpack(frames))
                # The reply to a request that was sent twice.
                continue
            self._check_alive()
            now = time.monotonic()
            if now > deadline:
                raise ServerBusy(f"{self.address} did not answer {op.name} in time: it is overloaded or gone")
            # Making environments twice would leave the first ones behind.
            if not is_sent or (op != Op.MAKE and now - sent > RESEND_S):
                is_sent = self._send(message)
                sent = now

    def _send(self, message: list[bytes]) -> bool:
        """Send if there is somebody to send to: a server that refused the keys leaves nobody."""
        try:
            self._socket.send_multipart(message, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True
