"""PPO by TorchRL on both engines, in an environment that has it (`make test-torchrl`)."""

from __future__ import annotations

import pytest
from recipe import recipe

PROGRAM = "torchrl_ppo.py"


def test_it_balances_a_pole_longer_than_chance_does() -> None:
    """A random policy holds it for 31 steps (`worldstep envs`)."""
    result = recipe(PROGRAM, "--env-id", "CartPole-v0", "--steps", "12000", "--num-envs", "16")
    assert result["steps"] >= 12_000 - 16 * 64
    assert result["episodes"] > 100
    assert result["return"] > 50


@pytest.mark.parametrize("obs", ["state", "rgb"])
def test_it_runs_in_a_dream(obs: str) -> None:
    task = ("--env-id", "CatchBehindScreen-v0", "--engine", "dream", "--obs", obs)
    result = recipe(PROGRAM, *task, "--steps", "1024", "--num-envs", "8")
    assert result["steps"] >= 1024
    assert result["episodes"] > 0
    assert -3 < result["return"] < 2, "what an episode can bring, and no NaN"
