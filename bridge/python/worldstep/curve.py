"""Keys for a server on another machine: which ones, and on to the socket with them."""

from __future__ import annotations

import os
from pathlib import Path

import zmq
import zmq.auth

from worldstep.errors import WorldstepError

SERVER_KEY_VARIABLE = "WORLDSTEP_SERVER_KEY"
"""The server's public key, or the path of its file, where `server_key` is not given."""
CLIENT_KEY_VARIABLE = "WORLDSTEP_CLIENT_KEY"
"""Path of the client's secret key file, where `client_key` is not given."""
_KEY_CHARS = 40


def secure(socket: zmq.Socket[bytes], server_key: str | None, client_key: str | None) -> bool:
    """Give `socket` the keys, from the arguments or the environment; whether there are any.

    `server_key` is the server's public key (40 characters, or the path of its `.key` file), `client_key` the
    path of the client's `.key_secret` file, both as `worldstep keys` makes them.
    """
    server_key = server_key or os.environ.get(SERVER_KEY_VARIABLE) or None
    client_key = client_key or os.environ.get(CLIENT_KEY_VARIABLE) or None
    if server_key is None and client_key is None:
        return False
    if server_key is None or client_key is None:
        missing = "server_key" if server_key is None else "client_key"
        raise WorldstepError(
            f"a client needs two keys, and {missing} is missing: the server's public one (NAME.key or its "
            "40 characters) and its own secret one (NAME.key_secret); `worldstep keys` makes them"
        )
    if not zmq.has("curve"):
        raise WorldstepError("this pyzmq has no CURVE encryption: install its wheel from PyPI")
    socket.curve_serverkey = _server_key(server_key)
    socket.curve_publickey, socket.curve_secretkey = _key_pair(client_key)
    return True


def _server_key(path_or_text: str) -> bytes:
    if len(path_or_text) == _KEY_CHARS and not Path(path_or_text).exists():
        return path_or_text.encode()
    return _load(path_or_text)[0]


def _key_pair(path: str) -> tuple[bytes, bytes]:
    public, secret = _load(path)
    if secret is None:
        raise WorldstepError(f"{path} holds no secret key: client_key is the path of NAME.key_secret")
    if os.stat(path).st_mode & 0o077:
        raise WorldstepError(f"{path} can be read by other users of this machine: chmod 600 {path}")
    return public, secret


def _load(path: str) -> tuple[bytes, bytes | None]:
    try:
        return zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise WorldstepError(f"{path} is no key file that can be read ({error})") from error
