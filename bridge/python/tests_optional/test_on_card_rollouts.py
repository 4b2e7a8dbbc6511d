"""The example whose observations stay on the card, on a processor (`make test-torchrl`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples/gpu/on_card_rollouts.py"


def test_both_ways_are_measured_in_turns() -> None:
    command = [sys.executable, EXAMPLE, "--device", "cpu", "--envs", "2", "--seconds", "0.2", "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rates = [row for row in found["rows"] if row["metric"] == "env_steps_per_s"]
    assert [row["peer"] is None for row in rates] == [True, False]
    assert all(row["value"] > 0 and row["case"]["observations_on"] == "cpu" for row in rates)
    assert found["rows"][-1]["metric"] == "env_steps_per_s_ratio"


def test_a_card_that_is_not_there_is_told() -> None:
    command = [sys.executable, EXAMPLE, "--device", "cuda:99", "--envs", "two"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode != 0 and "expected numbers such as 64,1024" in ended.stderr
