"""Datasets that the optional groups share: one of a family with everything in it, and one of a task."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from worldstep import private_server

CLIPS = 4


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command, as a shell sees it."""
    command = [private_server.find_binary(), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_json(*arguments: str | Path) -> dict[str, Any]:
    """What a command answers with `--json`."""
    finished = run(*arguments, "--json")
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@pytest.fixture(scope="session", params=["billiards", "catch-behind-screen"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with all channels; the family's has several cameras."""
    folder = tmp_path_factory.mktemp("data") / request.param
    run_json("synth", "--scenario", request.param, "--clips", str(CLIPS), "--seed", "5", "--out", folder)
    return folder
