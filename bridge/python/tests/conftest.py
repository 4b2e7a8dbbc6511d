"""What the tests share: a running server, the golden messages, and small models."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from forms import FORMS

import worldstep
from worldstep import private_server

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


@cache
def registered() -> tuple[str, ...]:
    """Ids of all tasks, as the command tells them."""
    told = subprocess.run([private_server.find_binary(), "envs", "--json"], check=True, capture_output=True)
    return tuple(task["id"] for task in json.loads(told.stdout)["envs"])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests of `task` for every registered one, and those of `engine` and `obs` for every form."""
    if "task" in metafunc.fixturenames:
        metafunc.parametrize("task", registered())
    if {"engine", "obs"} <= set(metafunc.fixturenames):
        metafunc.parametrize(("engine", "obs"), FORMS)


@pytest.fixture
def server() -> Iterator[str]:
    """Address of a server that several clients share."""
    command = [private_server.find_binary(), "serve", "--bind", "tcp://127.0.0.1:0", "--json"]
    command += ["--exit-with-stdin", "--drain-s", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield json.loads(process.stdout.readline())["address"]
        process.stdin.close()


@pytest.fixture
def no_server_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has started no private server: the next one sees the environment as it is now."""
    monkeypatch.setattr(private_server, "_servers", {})


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder with a world model for each task, trained for seconds: it dreams badly, but as it should."""
    folder = tmp_path_factory.mktemp("models")
    worldstep_command = private_server.find_binary()
    for task in worldstep.TASKS:
        data = folder / f"clips-{task}"
        synth = ["synth", "--scenario", task, "--clips", "4", "--out", data, "--seed", "1"]
        train = ["train", "--data", data, "--out", folder / task, "--minutes", "0.03"]
        for arguments in (synth, train):
            subprocess.run([worldstep_command, *arguments], check=True, capture_output=True)
    return str(folder)
