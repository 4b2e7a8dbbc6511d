"""The demo, in small: the same loop over fewer clips and less training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HORIZONS = {"1", "8", "16", "32"}


def test_the_demo_closes_the_loop_and_writes_its_numbers(tmp_path: Path) -> None:
    command = [sys.executable, "examples/demo/demo.py", "--out", str(tmp_path), "--clips", "40"]
    finished = subprocess.run(
        [*command, "--minutes", "0.1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["clips"] == 40
    assert summary["frames"] > 40 * 30
    assert 4.0 < summary["train_seconds"] < 60.0
    assert summary["seconds_total"] > summary["train_seconds"]
    assert 0.0 <= summary["reward_mae"] < 0.5
    assert 0.0 <= summary["termination_f1"] <= 1.0
    assert all(summary["env_steps_per_s"][name] > 0 for name in ("truth_state", "truth_pixels", "dream"))
    psnr_db = summary["psnr_db"]
    assert psnr_db["tokenizer"]["foreground"] > 10.0
    for name in ("shipped", "fresh", "copy_last", "shuffled_actions"):
        assert set(psnr_db[name]) == HORIZONS
        assert {"frame", "foreground", "actuated"} <= set(psnr_db[name]["8"])
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert 'src="http' not in page and "<link" not in page, "the page needs nothing beside itself"
