"""A private server lives exactly as long as its client."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import worldstep
from worldstep import private_server


def ends(pid: int, within_s: float = 10.0) -> bool:
    """Whether the process ends in time; a zombie that nobody has waited for has ended too."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_environments_share_a_server_and_the_last_one_ends_it() -> None:
    first = worldstep.make("CartPole-v0")
    second = worldstep.make_vec("PushCube-v0", num_envs=2)
    pids = {server.pid for server in private_server._servers.values()}
    assert len(pids) == 1
    first.close()
    second.reset(seed=0)
    second.close()
    assert not private_server._servers
    assert ends(pids.pop(), 0.5)


CLIENT = """
import time, worldstep
from worldstep import private_server
envs = worldstep.make_vec("CartPole-v0", num_envs=2)
envs.reset(seed=0)
print(*[server.pid for server in private_server._servers.values()], flush=True)
{then}
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None])
def test_the_server_ends_with_the_python_process_however_that_ends(how) -> None:
    then = "" if how is None else "time.sleep(60)"
    script = CLIENT.format(then=then)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as client:
        pid = int(client.stdout.readline())
        if how is not None:
            assert not ends(pid, 0.2), "it serves as long as the client lives"
            client.send_signal(how)
        assert ends(pid)


def test_a_forked_child_does_not_keep_the_parents_server_alive() -> None:
    fork = "child = os.fork()\nif child: print(child, flush=True)\ntime.sleep(60)"
    script = "import os\n" + CLIENT.format(then=fork)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as client:
        server, child = (int(client.stdout.readline()) for _ in range(2))
        try:
            assert not ends(server, 0.2)
            client.kill()
            assert ends(server)
            assert not ends(child, 0.1), "it was the parent that mattered"
        finally:
            os.kill(child, signal.SIGKILL)


FORKED = """
import os
if os.fork() == 0:
    own = worldstep.make_vec("CartPole-v0", num_envs=2)
    own.reset(seed=0)
    print(*[server.pid for server in private_server._servers.values()], flush=True)
    own.close()
    os._exit(0)
os.wait()
envs.step(envs.action_space.sample())
envs.close()
print("still served", flush=True)
"""


def test_a_forked_child_has_a_server_of_its_own() -> None:
    script = CLIENT.format(then=FORKED)
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    ours, childs, served = finished.stdout.splitlines()
    assert ours != childs
    assert served == "still served", finished.stderr


def test_a_killed_server_is_a_lost_session_and_the_next_one_is_new() -> None:
    envs = worldstep.make_vec("CartPole-v0", num_envs=2)
    envs.reset(seed=0)
    os.kill(next(iter(private_server._servers.values())).pid, signal.SIGKILL)
    with pytest.raises(worldstep.SessionLost, match="ended"):
        envs.step(envs.action_space.sample())
    fresh = worldstep.make_vec("CartPole-v0", num_envs=2)
    fresh.reset(seed=0)
    fresh.close()
    envs.close()


def test_environments_may_be_closed_after_their_server_was_stopped() -> None:
    """The order at the end of a process: servers stop first, environments are collected later."""
    envs = worldstep.make_vec("CartPole-v0", num_envs=2)
    envs.reset(seed=0)
    private_server._stop_all()
    with pytest.raises(worldstep.SessionLost, match="ended"):
        envs.step(envs.action_space.sample())
    envs.close()


def test_a_port_in_use_is_one_clear_line(server: str) -> None:
    command = [private_server.find_binary(), "serve", "--bind", server]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert server in lines[0] and "--bind" in lines[0]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_server_yet: None) -> Path:
    """A stand-in for the `worldstep` command, to be written by the test."""
    path = tmp_path / "worldstep"
    path.touch(mode=0o755)
    monkeypatch.setenv("WORLDSTEP_BIN", str(path))
    return path


def test_a_missing_libzmq_says_what_to_install(command: Path) -> None:
    loader = "worldstep: error while loading shared libraries: libzmq.so.5: cannot open shared object file"
    command.write_text(f"#!/bin/sh\necho '{loader}: No such file or directory' >&2\nexit 127\n")
    with pytest.raises(worldstep.ServerNotFound, match=r"libzmq\.so\.5.*apt install libzmq5"):
        worldstep.make_vec("CartPole-v0", num_envs=2)


def test_a_command_of_another_machine_is_named(command: Path) -> None:
    command.write_bytes(b"\x7fELF of something else")
    with pytest.raises(worldstep.ServerNotFound, match=re.escape(str(command))):
        worldstep.make_vec("CartPole-v0", num_envs=2)


def test_the_command_is_found_where_installers_put_it(command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLDSTEP_BIN")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(private_server, "_script_folders", lambda: [command.parent / "not", command.parent])
    assert private_server.find_binary() == str(command)
    command.unlink()
    with pytest.raises(worldstep.ServerNotFound, match="install the wheel"):
        private_server.find_binary()


def test_a_saved_state_goes_on_at_another_server(server: str) -> None:
    """What `SessionLost` leaves to do: make the environments again, where a server is, and load."""

    def onwards(envs) -> list[bytes]:
        return [envs.step(np.full((3, 2), np.sin(t), np.float32))[0].tobytes() for t in range(30)]

    first = worldstep.make_vec("PushCube-v0", num_envs=3, address=server)
    first.reset(seed=4)
    onwards(first)
    state = first.save_state()
    expected = onwards(first)
    first.close()
    second = worldstep.make_vec("PushCube-v0", num_envs=3)
    second.load_state(state)
    assert onwards(second) == expected
    second.close()
