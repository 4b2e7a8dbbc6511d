"""A server of one's own: started when first needed, ended with its process, however that ends."""

from __future__ import annotations

import atexit
import json
import os
import re
import selectors
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from pathlib import Path

from worldstep.errors import ServerNotFound, SessionLost

START_TIMEOUT_S = 120.0
"""How long a server may take to listen (it loads its model first)."""
STOP_TIMEOUT_S = 5.0
"""How long a server may take to end before it is killed."""
SESSIONS_MAX = 4096
"""Vectors and single environments of one process at a time."""
LEASE_S = 30 * 24 * 3600
"""A private server outlives no client, so its sessions need not expire."""


def find_binary() -> str:
    """Find the `worldstep` command: `$WORLDSTEP_BIN`, where the wheel installs it, or on the path."""
    named = os.environ.get("WORLDSTEP_BIN")
    if named:
        found = shutil.which(named)
        if found is None:
            raise ServerNotFound(f"WORLDSTEP_BIN is {named!r}, which is no executable file")
        return found
    for folder in _script_folders():
        found = shutil.which("worldstep", path=str(folder))
        if found:
            return found
    found = shutil.which("worldstep")
    if found is None:
        raise ServerNotFound(
            "the `worldstep` command is missing: install the wheel that carries it, or build it with "
            "`make build`, or set WORLDSTEP_BIN to its path, or give the address of a running server"
        )
    return found


def _script_folders() -> list[Path]:
    """Where an installer puts commands: in an environment, for a user, or below a `--target` folder."""
    return [
        Path(sys.executable).parent,
        Path(sysconfig.get_path("scripts")),
        Path(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))),
        Path(__file__).resolve().parents[1] / "bin",
    ]


_DEVICE_FLAGS: dict[str, list[str]] = {"cpu": [], "stand-in": ["--stand-in-card"]}
"""How a server is told where it dreams, where that is not `--device`."""


class PrivateServer:
    """A child process that serves this process and ends when its standard input closes."""

    def __init__(self, model: str | None, robot: str | None = None, device: str = "cpu") -> None:
        """Start it, with the world model in the folder `model`, and the robot that a TOML text describes.

        It dreams on `device`.
        """
        self.users = 0
        # A file, not a pipe: nobody reads it while the server runs.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the server)
        self._said = ""
        command = [find_binary(), "serve", "--bind", "tcp://127.0.0.1:0", "--exit-with-stdin"]
        command += [
            "--json",
            "--lease-s",
            str(LEASE_S),
            "--drain-s",
            "0",
            "--max-sessions",
            str(SESSIONS_MAX),
        ]
        command += ["--model", model] if model else []
        command += _DEVICE_FLAGS.get(device, ["--device", device])
        described = None
        if robot is not None:
            described = tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8")  # noqa: SIM115
            described.write(robot)
            described.flush()
            command += ["--robot", described.name, "--log-format", "json"]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
            )
        except OSError as error:
            self._stderr.close()
            raise ServerNotFound(f"{command[0]} cannot be run here: {error.strerror}") from error
        assert self._process.stdin and self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        try:
            self.address: str = json.loads(self._ready_line())["address"]
        except (ValueError, KeyError, TypeError) as error:
            self.stop()
            said = self._said + _what_to_install(self._said)
            raise ServerNotFound(f"`{' '.join(command)}` did not start: {said}") from error
        finally:
            # The server reads it before it listens.
            if described is not None:
                described.close()
        if robot is not None:
            self._warn()

    def _warn(self) -> None:
        """Pass on what the robot's file asks for and the server does not do."""
        self._stderr.seek(0)
        for line in self._stderr.read().decode(errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event.get("level") == "WARN" and "file" in event:
                warnings.warn(f"{event['file']}: {event['message']}", stacklevel=2)

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def check_alive(self) -> None:
        """Raise `SessionLost` if the server has ended."""
        if self._process.poll() is not None:
            raise SessionLost(
                f"the private server ended with status {self._process.returncode}: {self._last_words()}"
            )

    def let_go(self) -> None:
        """Close this process's copies of the pipes, without which the server would not see its owner end."""
        self._input.close()
        self._output.close()

    def stop(self) -> None:
        """End it; kill it if it does not listen."""
        self._input.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
        self._said = self._last_words()
        self._stderr.close()

    def _ready_line(self) -> bytes:
        """First line of its output, or what there is of it when it ends or the time is up."""
        line = b""
        deadline = time.monotonic() + START_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while not line.endswith(b"\n") and selector.select(deadline - time.monotonic()):
                chunk = os.read(self._output.fileno(), 4096)
                if not chunk:
                    break
                line += chunk
        return line

    def _last_words(self) -> str:
        if self._stderr.closed:
            return self._said
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _what_to_install(said: str) -> str:
    """Advice on the loader's complaint about a shared library, which it makes before the program can."""
    missing = re.search(r"(\S+\.so\S*): cannot open shared object file", said)
    if missing is None:
        return ""
    package = {"libzmq.so.5": "libzmq5"}.get(missing[1])
    return f" (apt install {package})" if package else f" (install the package that has {missing[1]})"


_servers: dict[tuple[str | None, str | None, str], PrivateServer] = {}


def acquire(model: str | None, robot: str | None = None, device: str = "cpu") -> PrivateServer:
    """Give this process's server for these, started if there is none (any more)."""
    key = (model, robot, device)
    server = _servers.get(key)
    if server is not None:
        try:
            server.check_alive()
        except SessionLost:
            del _servers[key]
            server = None
    if server is None:
        server = _servers[key] = PrivateServer(model, robot, device)
    server.users += 1
    return server


def release(server: PrivateServer) -> None:
    """Give it back; the last user ends it."""
    server.users -= 1
    if server.users == 0:
        for key in [key for key, value in _servers.items() if value is server]:
            del _servers[key]
        server.stop()


@atexit.register
def _stop_all() -> None:
    for server in _servers.values():
        server.stop()
    _servers.clear()


def _leave_to_parent() -> None:
    """In a forked child: let go of the parent's servers, which end with it; the child starts its own."""
    for server in _servers.values():
        server.let_go()
    _servers.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
