"""The PPO example learns, in an environment that has PyTorch (`make test-sb3`)."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "bridge" / "python" / "examples" / "ppo.py"


def ppo(*arguments: str) -> tuple[int, dict]:
    command = [sys.executable, str(SCRIPT), "--num-envs", "16", "--threads", "1", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode in (0, 1), finished.stderr[-2000:]
    return finished.returncode, json.loads(finished.stdout)


def test_advantages_are_those_worked_out_by_hand() -> None:
    spec = importlib.util.spec_from_file_location("ppo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    column = lambda *values: torch.tensor(values)[:, None]  # noqa: E731
    rewards, values = column(1.0, 2.0, 4.0), column(0.5, 1.0, 2.0)
    goes_on, ended = column(False, False, False), column(False, True, False)

    def found(terminated: torch.Tensor, done: torch.Tensor) -> list[float]:
        following = column(1.0, 2.0, 8.0)
        return (
            module.advantages(rewards, values, following, (terminated, done), (0.5, 0.5)).squeeze(1).tolist()
        )

    # Errors are 1, 2 and 6; each step back counts a quarter.
    assert found(goes_on, goes_on) == [1 + 0.25 * (2 + 0.25 * 6), 2 + 0.25 * 6, 6]
    # What is cut off still leads somewhere, what has ended does not; neither leads into the next episode.
    assert found(goes_on, ended) == [1 + 0.25 * 2, 2, 6]
    assert found(ended, ended) == [1 + 0.25 * 1, 1, 6]


@pytest.mark.parametrize(
    ("task", "engine", "target"),
    [
        ("CartPole-v0", "truth", "400"),
        ("CartPole-v0", "dream", "200"),
        ("CatchBehindScreen-v0", "truth", "0.5"),
        ("CatchBehindScreen-v0", "dream", "0.5"),
    ],
)
def test_it_learns_to_the_returns_that_the_readme_tells(task: str, engine: str, target: str) -> None:
    """A random policy comes to 31 and to -0.8."""
    # 64 environments, as it has them by default: the schedule of learning is made for that.
    arguments = ("--num-envs", "64", "--obs", "state", "--engine", engine, "--steps", "1000000")
    status, result = ppo("--task", task, *arguments, "--target", target)
    assert status == 0, result
    assert result["return"] >= float(target)
    assert result["steps"] <= 300_000


@pytest.mark.parametrize("obs", ["state", "rgb"])
def test_it_runs_in_a_dream_and_a_target_out_of_reach_is_told(obs: str, tmp_path: Path) -> None:
    weights = tmp_path / "policy.pt"
    arguments = ("--task", "CatchBehindScreen-v0", "--engine", "dream", "--obs", obs, "--rollout", "16")
    status, result = ppo(*arguments, "--steps", "2048", "--target", "50", "--save", str(weights))
    assert status == 1
    assert result["steps"] == 2048
    assert -3 < result["return"] < 2, "mean of the episodes that have ended"
    assert torch.load(weights)["log_std"].shape == (3,)
