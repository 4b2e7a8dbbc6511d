"""A server with keys: whoever has them steps as ever, whoever has not is told about keys."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq.auth

import worldstep
from worldstep import private_server


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Folder with keys of a server, of a client that it admits, and of a stranger."""
    command = private_server.find_binary()
    for name in ("server", "client", "stranger"):
        subprocess.run([command, "keys", "--out", tmp_path, "--name", name], check=True, capture_output=True)
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients" / "client.key").write_bytes((tmp_path / "client.key").read_bytes())
    return tmp_path


@pytest.fixture
def address(keys: Path) -> Iterator[str]:
    """Address of a server with these keys."""
    command = [private_server.find_binary(), "serve", "--bind", "tcp://127.0.0.1:0", "--json"]
    command += ["--exit-with-stdin", "--curve-key", keys / "server.key_secret"]
    command += ["--allow-clients", keys / "clients"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield json.loads(process.stdout.readline())["address"]
        process.stdin.close()


def rollout(**arguments: str) -> np.ndarray:
    envs = worldstep.make_vec("CartPole-v0", num_envs=3, **arguments)
    frames = [envs.reset(seed=4)[0]]
    frames += [envs.step(np.full((3, 1), 0.1, dtype=np.float32))[0] for _ in range(20)]
    envs.close()
    return np.stack(frames)


def test_a_rollout_through_curve_is_the_one_without(keys: Path, address: str) -> None:
    secret = str(keys / "client.key_secret")
    secured = rollout(address=address, server_key=str(keys / "server.key"), client_key=secret)
    assert (secured == rollout()).all()
    public = zmq.auth.load_certificate(keys / "server.key")[0].decode()
    assert (secured == rollout(address=address, server_key=public, client_key=secret)).all()


def test_the_environment_names_the_keys(keys: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLDSTEP_SERVER_KEY", str(keys / "server.key"))
    monkeypatch.setenv("WORLDSTEP_CLIENT_KEY", str(keys / "client.key_secret"))
    env = worldstep.make("CartPole-v0", address=address)
    env.reset(seed=0)
    env.close()
    # A private server has no keys, and needs none.
    worldstep.make("CartPole-v0").close()


def test_the_key_files_are_those_of_zmq_auth(keys: Path) -> None:
    public, nothing = zmq.auth.load_certificate(keys / "client.key")
    again, secret = zmq.auth.load_certificate(keys / "client.key_secret")
    assert public == again and nothing is None and len(secret) == 40
    assert zmq.curve_public(secret) == public
    assert zmq.auth.load_certificates(keys / "clients") == {public: True}
    assert (keys / "client.key_secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["stranger", None])
def test_who_is_not_admitted_is_told_about_keys(
    keys: Path, address: str, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worldstep.connection.HELLO_TIMEOUT_S", 1.0)
    given = {}
    if name:
        given = {"server_key": str(keys / "server.key"), "client_key": str(keys / f"{name}.key_secret")}
    with pytest.raises(worldstep.ServerNotFound, match="server_key"):
        worldstep.make_vec("CartPole-v0", address=address, **given)


def test_keys_that_cannot_be_used_are_named(keys: Path) -> None:
    server, secret = str(keys / "server.key"), keys / "client.key_secret"
    address = "tcp://127.0.0.1:9"
    wrong = [
        ({"server_key": server}, "client_key is missing"),
        ({"client_key": str(secret)}, "server_key is missing"),
        ({"server_key": server, "client_key": server}, "no secret key"),
        ({"server_key": server, "client_key": str(keys / "nobody")}, "nobody"),
        ({"server_key": str(keys / "clients"), "client_key": str(secret)}, "clients"),
    ]
    for given, says in wrong:
        with pytest.raises(worldstep.WorldstepError, match=says):
            worldstep.make_vec("CartPole-v0", address=address, **given)
    secret.chmod(0o644)
    with pytest.raises(worldstep.WorldstepError, match="chmod 600"):
        worldstep.make_vec("CartPole-v0", address=address, server_key=server, client_key=str(secret))
