"""The script for GPUs, in small and on the processor: its stages, and that an interrupted one goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TASK = "CatchBehindScreen-v0"


def gpu_report(out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    binary = Path(sys.executable).with_name("worldstep")
    command = [sys.executable, "examples/gpu/gpu_report.py", "--worldstep", str(binary), "--out", str(out)]
    small = ["--task", TASK, "--preset", "nano", "--device", "cpu", "--precision", "f32", "--batch", "2"]
    sizes = ["--clips", "20", "--eval-clips", "20", "--minutes", "0.15", "--bench-seconds", "0.1"]
    # What a training bench needs at least is too long for a test.
    benches = ["--bench", "dream", "--bench", "profile", "--bench", "render", "--tiles", "1", "--envs", "1,2"]
    benches += ["--more-presets", ""]
    return subprocess.run(
        [*command, *small, *sizes, *benches, *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_stages_go_on_where_they_were_and_leave_their_results(tmp_path: Path) -> None:
    cut = gpu_report(tmp_path, "--stage-minutes", "0.06")
    assert cut.returncode != 0
    assert "run the same command again" in cut.stderr, cut.stderr[-2000:]
    done = {path.stem for path in tmp_path.glob("*.json")}
    assert "doctor" in done
    assert not [name for name in done if name.startswith("bench-dream")]
    whole = gpu_report(tmp_path, "--publish", str(tmp_path / "published"))
    assert whole.returncode == 0, whole.stderr[-2000:]
    assert "doctor: " in whole.stdout
    assert "from the processor's" in whole.stdout
    assert " env-steps/s at " in whole.stdout
    results = {path.stem: json.loads(path.read_text())["result"] for path in tmp_path.glob("*.json")}
    made = {f"{stage}-{TASK}" for stage in ("clips", "train", "unseen", "eval")}
    assert results.keys() == made | {
        "doctor",
        "numerics-nano",
        "bench-dream-nano@1",
        "bench-dream-nano@2",
        "bench-profile",
        "bench-render",
    }
    assert results[f"train-{TASK}"]["training"]["dynamics_steps"] > 0
    page = (tmp_path / "report.html").read_text()
    assert "dB over copy-last at 16 steps" in page
    assert "http" not in page
    parts = {row["case"].get("part") for row in results["bench-profile"]["rows"]}
    assert {"batch", "attention_over_time", "backward", "optimizer", "step"} <= parts
    published = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "published").iterdir()}
    assert published == {f"gpu-{name}": result for name, result in results.items()}
    kept = (tmp_path / f"train-{TASK}.json").stat().st_mtime_ns
    again = gpu_report(tmp_path)
    assert again.returncode == 0
    assert (tmp_path / f"train-{TASK}.json").stat().st_mtime_ns == kept, "it was trained anew"
    other = gpu_report(tmp_path, "--side", "128")
    assert other.returncode != 0
    assert "was begun with --side 64, not 128; choose another --out" in other.stderr


def test_every_command_line_for_a_gpu_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "gpu"))
    import gpu_report as report

    lines: list[list[str]] = []

    def note(_: object, name: str, words: list[object], resumes: bool = False) -> dict[str, bool]:
        lines.append([str(word) for word in words])
        return {"stopped": False}

    monkeypatch.setattr(report, "ask_command", note)
    binary = Path(sys.executable).with_name("worldstep")
    arguments = report.parse_arguments(["--worldstep", str(binary), "--peers", sys.executable])
    every = report.stages(arguments)
    for _, stage in every:
        stage()
    names = [name for name, _ in every]
    assert {"numerics-s-fp8", "bench-kernels-m-fp8", "bench-dream-m@8192", "bench-train-s"} <= set(names)
    assert names.index("bench-kernels-s") < names.index(f"clips-{TASK}"), "what needs no clips comes first"
    understood = [line for line in lines if line[0] == str(binary)]
    assert len(understood) == len(lines) - 1, "all but the rollouts"
    for line in {tuple(line) for line in understood}:
        told = subprocess.run([*line, "--json", "--help"], capture_output=True, text=True, check=False)
        assert told.returncode == 0, (line, told.stderr)


def test_wrong_options_are_named_before_anything_runs(tmp_path: Path) -> None:
    refused = gpu_report(tmp_path / "out", "--minutes", "0")
    assert refused.returncode == 2
    assert "--minutes is 0.0" in refused.stderr
    assert not (tmp_path / "out").exists()
