"""A client's side of the wire: one request out, its reply in."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import zmq

from worldstep import curve, wire
from worldstep.card import Card, CardSlots
from worldstep.errors import (
    InvalidState,
    ProtocolError,
    ServerBusy,
    ServerNotFound,
    VersionMismatch,
    WorldstepError,
    error_from_refusal,
)
from worldstep.shared_memory import SharedSlots, host_id, open_slots
from worldstep.wire import Buffer, Header, Op

HELLO_TIMEOUT_S = 10.0
"""How long a server may take to say hello."""
RESEND_S = 5.0
"""Silence after which a request is sent again; the server answers it once."""
MALFORMED_MAX = 3
"""Times that a request is sent again when the server finds it malformed."""
_POLL_MS = 200

Check = Callable[[Header, list[bytes]], None]
"""Raises `ProtocolError` if the frames are no whole answer."""


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
        self._pending: deque[_Request] = deque()
        self._arrived: dict[int, tuple[Header, list[bytes]]] = {}
        self._slots: SharedSlots | None = None
        self.card: CardSlots | None = None
        self.card_refused = ""
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

    def open(
        self, request: dict[str, Any], *, share_memory: bool = True, card: Card | None = None
    ) -> dict[str, Any]:
        """Open the session that all later requests belong to.

        On the server's machine, observations come on `card` or through shared memory if it offers that;
        if not on `card`, then `card_refused` tells why.
        """
        host = host_id() if share_memory or card is not None else None
        request = request if host is None else {**request, "shared_memory_host": host}
        if card is None:
            return self._open(request, share_memory)
        described = self._open({**request, "card": card.name}, share_memory)
        offered = described.get("card")
        if offered is None:
            unknown = "the server knows nothing of cards: update it"
            self.card_refused = described.get("card_refused", unknown)
            return described
        self._open_card(card, offered)
        if self.card_refused:
            self.ask(Op.CLOSE)
            self._seq = 0
            return self._open(request, share_memory)
        self._header = replace(self._header, shared=True)
        return described

    def _open_card(self, card: Card, offered: dict[str, Any]) -> None:
        try:
            self.card = card.open(offered)
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.card_refused = f"the server's memory on {card.name} cannot be opened: {error}"

    def finish_reading(self) -> None:
        """Wait until nothing on the card reads observations any more, if they are there."""
        if self.card is not None:
            self.card.finish()

    def leave_card(self) -> None:
        """Let go of the server's memory on the card, before the server does."""
        with contextlib.suppress(OSError):
            self.finish_reading()
        self.card = None

    def _open(self, request: dict[str, Any], share_memory: bool) -> dict[str, Any]:
        # A name of its own, so that the request can be sent again and still opens one session.
        self._header = Header(Op.HELLO, session=secrets.randbits(128))
        self.submit(Op.MAKE, [wire.pack(request)])
        header, frames = self.collect()
        described = wire.unpack(frames)
        self._slots = open_slots(described.get("shared_memory")) if share_memory else None
        self._header = replace(header, shared=self._slots is not None)
        self._seq = 0
        return described

    def put_actions(
        self, actions: Any, shape: tuple[int, ...], dtype: np.dtype[Any], rows: np.ndarray | None = None
    ) -> bytes | None:
        """Leave the actions of the next request on the card, if they are there; give their frame then.

        They are those of the environments `rows`, or of all.
        """
        if self.card is None or not self.card.holds(actions):
            return None
        self.card.put_actions(self._seq + 1, actions, shape, dtype, rows)
        return b""

    @property
    def shares_memory(self) -> bool:
        """Whether observations come through shared memory."""
        return self._slots is not None

    @property
    def waiting(self) -> int:
        """Number of requests that have been submitted and not collected."""
        return len(self._pending)

    def ask(self, op: Op, frames: Sequence[Buffer] = (), timeout_s: float | None = None) -> list[bytes]:
        """Send one request and return the frames of its reply; raise what the server refuses."""
        self.submit(op, frames, timeout_s)
        return self.collect()[1]

    def ask_rows(self, op: Op, frames: Sequence[Buffer], check: Check) -> tuple[Header, list[bytes]]:
        """As `ask`, with the reply's header, for replies that have rows; `check` as in `submit`."""
        self.submit(op, frames, check=check)
        return self.collect()

    def submit(
        self,
        op: Op,
        frames: Sequence[Buffer] = (),
        timeout_s: float | None = None,
        check: Check | None = None,
    ) -> None:
        """Send one request; `collect` gives its reply. The server takes two at a time.

        `check` raises `ProtocolError` for what is no whole answer: damaged on its way, it is passed over.
        """
        self._seq += 1
        deadline = time.monotonic() + (timeout_s or self._timeout_s)
        check = check or _CHECKS.get(op, _expect_nothing)
        request = _Request(self._request_header(op), list(frames), deadline, check)
        self._pending.append(request)
        self._send(request)

    def collect(self) -> tuple[Header, list[bytes]]:
        """Wait for the reply to the oldest request, and give its header and frames; raise what is refused."""
        request = self._pending[0]
        try:
            while True:
                header, reply = self._answer(request)
                if header.op != Op.ERROR:
                    return header, reply
                refusal = wire.unpack(reply)
                if time.monotonic() > request.deadline or not request.may_repeat(refusal["code"]):
                    raise error_from_refusal(refusal)
                time.sleep(refusal["retry_after_ms"] / 1000)
                self._send(request)
        finally:
            self._pending.popleft()

    def observations(self, header: Header, frame: bytes, length: int) -> bytes | memoryview:
        """Give the observations of the reply with `header`: its frame, or what lies in shared memory."""
        if not header.shared:
            return frame
        if self._slots is None:
            raise ProtocolError("observations are in shared memory, which this client does not share")
        return self._slots.slot(frame, length)

    def forget(self, timeout_s: float) -> None:
        """Wait for what has been submitted, no longer than this, and take no interest in it."""
        deadline = time.monotonic() + timeout_s
        while self._pending:
            self._pending[0].deadline = min(self._pending[0].deadline, deadline)
            with contextlib.suppress(WorldstepError):
                self.collect()

    def disconnect(self) -> None:
        """Close the socket."""
        self._socket.close()
        if self._slots is not None:
            self._slots.close()
        # It is closed with the last array that somebody looks at.
        self.card = None

    def _request_header(self, op: Op) -> Header:
        known = self._header
        session = 0 if op == Op.HELLO else known.session
        return Header(op, False, session, known.epoch, self._seq, known.num_envs, shared=known.shared)

    def _answer(self, request: _Request) -> tuple[Header, list[bytes]]:
        if request.seq in self._arrived:
            return self._arrived.pop(request.seq)
        while True:
            if self._socket.poll(_POLL_MS):
                answer = self._receive(request)
                if answer is not None:
                    return answer
                continue
            self._check_alive()
            now = time.monotonic()
            if now > request.deadline:
                raise ServerBusy(
                    f"{self.address} did not answer {request.op.name} in time: it is overloaded or gone"
                )
            for waiting in self._pending:
                if not waiting.is_sent or now - waiting.sent_at > RESEND_S:
                    self._send(waiting)

    def _receive(self, request: _Request) -> tuple[Header, list[bytes]] | None:
        """Take one message; give it if it answers `request`, keep it if it answers a later one."""
        try:
            header, frames = wire.decode(self._socket.recv_multipart())
            if header.op == Op.ERROR:
                wire.unpack(frames)
        except VersionMismatch:
            raise
        except ProtocolError:
            # Damaged on its way: as good as lost.
            return None
        for waiting in self._pending:
            if waiting.is_answered_by(header) and waiting.is_whole(header, frames):
                if waiting is request:
                    return header, frames
                self._arrived[waiting.seq] = header, frames
        # Otherwise it is the reply to a request that was sent twice.
        return None

    def _send(self, request: _Request) -> None:
        """Send if there is somebody to send to: a server that refused the keys leaves nobody."""
        request.sent_at = time.monotonic()
        try:
            # What is not the oldest must not be served before that has come.
            header = replace(request.header, after=request is not self._pending[0])
            self._socket.send_multipart(wire.encode(header, request.frames), zmq.DONTWAIT)
            request.is_sent = True
        except zmq.Again:
            request.is_sent = False


def _expect_map(header: Header, frames: list[bytes]) -> None:
    wire.unpack(frames)


def _expect_states(header: Header, frames: list[bytes]) -> None:
    try:
        count = len(wire.states_from_frames(frames))
    except InvalidState as error:
        raise ProtocolError(str(error)) from error
    if count != header.num_envs:
        raise ProtocolError(f"{count} states of {header.num_envs} environments")


def _expect_nothing(header: Header, frames: list[bytes]) -> None:
    if frames:
        raise ProtocolError(f"{len(frames)} frames, expected none")


_CHECKS: dict[Op, Check] = {
    Op.HELLO: _expect_map,
    Op.MAKE: _expect_map,
    Op.METRICS: _expect_map,
    Op.SAVE: _expect_states,
}
"""What whole answers look like; those with rows are checked by who knows their sizes."""


@dataclass(eq=False)
class _Request:
    """A request that is to be answered."""

    header: Header
    frames: list[Buffer]
    deadline: float
    check: Check
    sent_at: float = 0.0
    is_sent: bool = False
    malformed: int = 0

    @property
    def op(self) -> Op:
        """What is asked."""
        return self.header.op

    @property
    def seq(self) -> int:
        """Its number in the session."""
        return self.header.seq

    def may_repeat(self, code: str) -> bool:
        """Tell whether a refusal with this code may go away when the request is sent again."""
        if code == "bad_message":
            # It may have been damaged on its way.
            self.malformed += 1
            return self.malformed <= MALFORMED_MAX
        return code == "busy"

    def is_answered_by(self, header: Header) -> bool:
        """Tell whether an answer is to this request, and not an earlier one's that comes late."""
        is_own = self.op == Op.MAKE or header.session == self.header.session
        return is_own and header.reply and header.seq == self.seq and header.op in (self.op, Op.ERROR)

    def is_whole(self, header: Header, frames: list[bytes]) -> bool:
        """Tell whether an answer has come as it was sent."""
        try:
            if header.op != Op.ERROR:
                self.check(header, frames)
        except ProtocolError:
            return False
        return True
