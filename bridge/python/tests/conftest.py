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


def forms_of(task: str) -> list[tuple[str, str, str]]:
    """Forms to hold a task to: all where there are weights, else truth's state and pixels."""
    forms = FORMS if task in worldstep.DREAMS else FORMS[:2]
    return [(task, *form) for form in forms]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests of `task`, `engine` and `obs` for every registered task in every form that there is."""
    names = [name for name in ("task", "engine", "obs") if name in metafunc.fixturenames]
    if names == ["task", "engine", "obs"]:
        metafunc.parametrize(names, [form for task in registered() for form in forms_of(task)])
    elif names == ["task"]:
        metafunc.parametrize("task", registered())
    elif names == ["engine", "obs"]:
        metafunc.parametrize(names, FORMS)


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
    """Folder with a world model for each task that has shipped weights, trained for seconds: bad dreams."""
    folder = tmp_path_factory.mktemp("models")
    worldstep_command = private_server.find_binary()
    for task in worldstep.DREAMS:
        data = folder / f"clips-{task}"
        synth = ["synth", "--scenario", task, "--clips", "4", "--out", data, "--seed", "1"]
        train = ["train", "--data", data, "--out", folder / task, "--minutes", "0.03"]
        for arguments in (synth, train):
            subprocess.run([worldstep_command, *arguments], check=True, capture_output=True)
    return str(folder)
