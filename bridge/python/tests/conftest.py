"""What the tests share: a running server, and the shipped model if there is one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from worldstep import private_server

REPOSITORY = Path(__file__).resolve().parents[3]
GOLDEN = REPOSITORY / "bridge" / "golden"
MODEL = REPOSITORY / "models" / "nano"


@pytest.fixture
def server() -> Iterator[str]:
    """Address of a server that several clients share."""
    command = [private_server.find_binary(), "serve", "--bind", "tcp://127.0.0.1:0", "--json"]
    command += ["--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield json.loads(process.stdout.readline())["address"]
        process.stdin.close()


@pytest.fixture
def model() -> str:
    """Folder of the shipped model."""
    if not MODEL.exists():
        pytest.skip(f"NOT TESTED: dream environments, because no model is shipped at {MODEL}")
    return str(MODEL)
