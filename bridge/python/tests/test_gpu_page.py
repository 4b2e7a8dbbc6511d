"""The page of the script for GPUs, from made-up results of every stage."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "examples/gpu"))

import gpu_report  # noqa: E402
import report_page  # noqa: E402
import svg_chart  # noqa: E402

TASK = "CatchBehindScreen-v0"
PYTORCH = "PyTorch 2.11, torch.compile"
RATES = {1: 4_000.0, 64: 180_000.0, 1024: 390_000.0, 4096: 411_000.0}


def row(
    case: dict[str, Any], metric: str, value: float, unit: str, peer: str | None = None
) -> dict[str, Any]:
    return {"case": case, "metric": metric, "value": value, "unit": unit, "peer": peer}


def dream(number: int) -> dict[str, Any]:
    rows = []
    for obs, slower in (("codes", 1.0), ("rgb", 0.8)):
        for envs, rate in ((number, RATES[number]),):
            case = {"obs": obs, "envs": envs, "preset": "s", "device": "cuda:0"}
            rows += [
                row(case, "env_steps_per_s", rate * slower, "env-steps/s"),
                row(case, "step_ms_p50", 2.0, "ms"),
                row(case, "step_ms_p99", 3.0, "ms"),
            ]
            engine = {**case, "part": "step engine"}
            rows += [
                row(engine, "env_steps_per_s", rate * slower * 1.1, "env-steps/s"),
                row(engine, "env_steps_per_s", rate * slower / 2.5, "env-steps/s", PYTORCH),
                row(engine, "env_steps_per_s_ratio", 2.75, "times", PYTORCH),
            ]
    return {"machine": {"cores": 16, "cpu": "Made-up"}, "rows": rows}


def numerics() -> dict[str, Any]:
    numbers = ("rewards_apart", "terminated_apart", "objects_apart", "uncertainty_apart", "latents_apart")
    values = dict.fromkeys(numbers, 0.01) | {"latents_apart": 0.3, "other_codes": 0.004}
    rows = [
        row({"preset": "s", "size": size, "tolerance": 0.2}, metric, value * (size / 64), "deviations")
        for size in (128, 64)
        for metric, value in values.items()
    ]
    return {"machine": {}, "rows": rows}


def profile() -> dict[str, Any]:
    case = {"stage": "dynamics", "preset": "s", "feed": "auto"}
    parts = {"batch": 0.5, "embed": 0.3, "feed_forward": 3.0, "backward": 9.0, "optimizer": 4.0, "step": 17.0}
    rows = [row({**case, "part": part}, "time", ms, "ms") for part, ms in parts.items()]
    rows.append(row({**case, "part": "feed_forward"}, "flop_per_s", 123_456.0, "GFLOP/s"))
    rows += [
        row({**case, "feed": feed}, "batch_share", share, "share")
        for feed, share in (("host", 0.25), ("device", 0.03))
    ]
    return {"machine": {}, "rows": rows}


def kernels() -> dict[str, Any]:
    rows = [row({"kernel": "all"}, "time", 1.7, "ms")]
    for kernel, ms in (("ring attention", 1.5), ("norm", 0.2)):
        case = {"kernel": kernel, "preset": "s", "envs": 4096}
        rows += [row(case, "time", ms, "ms"), row(case, "bandwidth_share", 0.625, "share")]
    rows.append(row({"kernel": "largest product"}, "arithmetic", 701.25, "TFLOP/s"))
    rows.append(row({"kernel": "largest copy"}, "bandwidth", 3906.0, "GB/s"))
    return {"machine": {}, "rows": rows}


def rollouts() -> dict[str, Any]:
    case = {"engine": "dream", "obs": "rgb", "envs": 4096, "observations_on": "cuda:0"}
    return {"machine": {}, "rows": [row(case, "env_steps_per_s_ratio", 1.75, "times")]}


def render() -> dict[str, Any]:
    rows = []
    for size in (64, 128):
        for tiles in (1, 64, 1024):
            for channels in ("rgb", "all"):
                case = {
                    "tiles": tiles,
                    "size": size,
                    "channels": channels,
                    "light": "plain",
                    "device": "Made-up",
                }
                rows.append(row(case, "views_per_s", 900.0 * tiles**0.6, "views/s"))
    rows.append(row({"tiles": 2048, "size": 64, "skipped": "no room"}, "skipped", 0.0, "views/s"))
    rows.append(row({"engine": "truth", "obs": "rgb", "envs": 64}, "env_steps_per_s", 5_000.0, "env-steps/s"))
    return {"machine": {}, "rows": rows}


def evaluation() -> dict[str, Any]:
    def at(values: list[float]) -> dict[str, Any]:
        return {
            h: {"foreground": v, "frame": 30.0} for h, v in zip(("1", "4", "8", "16"), values, strict=True)
        }

    return {
        "clips": 40,
        "psnr_db": {"model": at([25.0, 21.0, 18.0, 15.5]), "copy_last": at([22.0, 16.0, 14.0, 13.0])},
        "reward_mae": 0.0123,
        "termination_f1": None,
    }


def results() -> dict[str, dict[str, Any]]:
    """One of every stage, in the script's order."""
    found = {
        "doctor": {"findings": [{"part": "gpu", "detail": "a made-up <GPU>"}]},
        "numerics-s": numerics(),
        f"clips-{TASK}": {"clips": 1500, "frames": 90_000},
        f"train-{TASK}": {
            "training": {"tokenizer_steps": 900, "dynamics_steps": 1200, "dynamics_seconds": 250.0}
        },
        f"eval-{TASK}": evaluation(),
        **{f"bench-dream-s@{envs}": dream(envs) for envs in RATES},
        "bench-kernels-s": kernels(),
        "bench-profile": profile(),
        "bench-render": render(),
        "bench-rollouts": rollouts(),
    }
    return {name: {"seconds": 12.0, "result": result} for name, result in found.items()}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of models with a training's record, its last row cut off."""
    folder = tmp_path / "models" / TASK
    folder.mkdir(parents=True)
    rows = [
        {
            "row": "step",
            "stage": stage,
            "step": step,
            "loss": 3.0 / (1 + step / 100),
            "frames_per_s": 45_678.0,
        }
        for stage in ("tokenizer", "dynamics")
        for step in range(10, 1200, 10)
    ]
    rows += [
        {"row": "validation", "stage": "dynamics", "step": s, "loss": 4.0 / (1 + s / 100)}
        for s in (400, 800, 1100)
    ]
    lines = [json.dumps(row) for row in rows]
    (folder / "curves.jsonl").write_text("\n".join([*lines, '{"row": "step", "sta']))
    return folder.parent


def made(found: dict[str, dict[str, Any]], models: Path, names: list[str] | None = None) -> str:
    return report_page.page("s on a made-up GPU", names or list(results()), found, gpu_report.summary, models)


def section(page: str, name: str) -> str:
    return re.split(r"</section>", page.split(f'<section class="{name}">')[1])[0]


def test_every_stage_is_told_under_its_heading(models: Path) -> None:
    page = made(results(), models)
    assert "not yet measured" not in page.replace(section(page, "bench-train"), "")
    dreams = section(page, "bench-dream")
    assert dreams.count("<svg") == 2, "one chart for codes, one for rgb"
    assert dreams.count("<polyline") == 2 * 3, "environment, step engine, PyTorch"
    for wanted in ("411k", "2.75", "1.5", PYTORCH, "codes, 4,096"):
        assert wanted in dreams, wanted
    assert "within" in section(page, "numerics") and "too far" in section(page, "numerics")
    trained = section(page, "train")
    assert trained.count("<svg") == 2
    assert trained.count("<circle") == 3, "validations"
    assert "1200" in trained and "45.7k" in trained
    profiled = section(page, "bench-profile")
    for wanted in ("feed forward", "17.6%", "123k", "25.0% with feed host, 3.0% with feed device"):
        assert wanted in profiled, wanted
    kernel = section(page, "bench-kernels")
    assert kernel.index("ring attention") < kernel.index("norm") and "62.5%" in kernel
    assert "701.2 TFLOP/s" in kernel and "3,906 GB/s" in kernel and "largest" not in kernel
    assert "cuda:0" in section(page, "bench-rollouts") and "1.75" in section(page, "bench-rollouts")
    assert "+2.5" in section(page, "eval") and "0.0123" in section(page, "eval")
    rendered = section(page, "bench-render")
    assert rendered.count("<svg") == 2 and "no room" not in rendered
    assert page.count("<details>") == len(results())


def test_the_page_loads_nothing_and_escapes_what_it_is_told(models: Path) -> None:
    page = made(results(), models)
    for unwanted in ("<script", "http", "src=", "@import", "url(", "NaN", "nan", "<GPU>"):
        assert unwanted not in page, unwanted
    assert "prefers-color-scheme: dark" in page and "a made-up &lt;GPU&gt;" in page


@pytest.mark.parametrize("missing", list(results()))
def test_what_has_not_run_is_said_to_be_missing(missing: str, models: Path) -> None:
    found = {name: result for name, result in results().items() if name != missing}
    page = made(found, models, list(results()))
    headed = next((begin for begin, *_ in report_page.HEADINGS if missing.startswith(begin)), None)
    if headed:
        assert "not yet measured" in section(page, headed.strip("-"))
    assert f"{len(found)} of {len(results())} stages are done" in page


def test_a_training_without_its_record_still_has_a_table(tmp_path: Path) -> None:
    trained = section(made(results(), tmp_path / "nowhere"), "train")
    assert "<svg" not in trained and "1200" in trained


def test_a_line_runs_through_its_points_on_logarithmic_axes() -> None:
    points = [(1.0, 10.0), (10.0, 100.0), (100.0, 1000.0), (0.0, 5.0), (5.0, math.nan)]
    chart = svg_chart.Chart("x", "y", [svg_chart.Series("a", points)], log_x=True, log_y=True)
    places = re.search(r'<polyline class="line" points="([^"]*)"', chart.svg("t"))
    assert places
    drawn = [tuple(map(float, place.split(","))) for place in places.group(1).split()]
    assert len(drawn) == 3, "what no logarithm has is left out"
    (x0, y0), (x1, y1), (x2, y2) = drawn
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11) and y2 < y0
    assert svg_chart.Chart("x", "y", [svg_chart.Series("a", [(0.0, 1.0)])], log_x=True).figure("none") == ""
    assert [svg_chart.short(v) for v in (0.0, 196_400.0, 0.0213, 1.5e-5)] == [
        "0",
        "196k",
        "0.0213",
        "1.5e-05",
    ]


def test_a_line_of_one_point_or_of_equal_values_can_be_drawn() -> None:
    for points in ([(4.0, 7.0)], [(1.0, 0.0), (2.0, 0.0)], [(1.0, 5.0), (2.0, 5.0)]):
        svg = svg_chart.Chart("x", "y", [svg_chart.Series("a", points)]).svg("t")
        assert "nan" not in svg and "inf" not in svg


def test_summaries_tell_the_worst_and_the_largest() -> None:
    said = {name: gpu_report.summary(name, result) for name, result in results().items()}
    assert said["numerics-s"].startswith("numbers at most 6.0e-01") and "0.80% of codes" in said["numerics-s"]
    assert said["bench-kernels-s"] == "1.70 ms a step, 88% of it ring attention"
    assert said["bench-rollouts"] == "1.75 times the other way to 1.75 times the other way"
    assert said["bench-render"].endswith("views/s at 1024 tiles")
    assert said["bench-profile"] == "17.0 ms a step, 53% of it backward"


def test_results_are_published_as_the_command_printed_them(tmp_path: Path) -> None:
    found = results()
    gpu_report.publish(found, tmp_path / "results")
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {f"gpu-{name}.json" for name in found}
    kept = json.loads((tmp_path / "results/gpu-bench-dream-s@64.json").read_text())
    assert kept == found["bench-dream-s@64"]["result"]


def test_every_stage_has_a_heading_and_pytorch_has_stages_of_its_own() -> None:
    names = [name for name, _ in gpu_report.stages(gpu_report.parse_arguments(["--envs", "1,64"]))]
    benches = [name for name in names if name.startswith(("bench-", "brief-"))]
    both = [f"bench-kernels-{preset}{suffix}" for suffix in ("", "-fp8") for preset in ("s", "m")]
    dreams = [[f"bench-dream-{preset}{end}" for end in ("@1", "@64", "-fp8@64")] for preset in ("s", "m")]
    assert benches == [*both, "bench-render", *dreams[0], "brief-m", *dreams[1], "bench-profile"]
    arguments = gpu_report.parse_arguments(["--envs", "1,64", "--peers", "python"])
    with_peers = [name for name, _ in gpu_report.stages(arguments)]
    assert sorted(set(with_peers) - set(names)) == ["bench-rollouts", "bench-train-m", "bench-train-s"]
    headed = [begin for begin, *_ in report_page.HEADINGS]
    unheard = [name for name in with_peers if not name.startswith((*headed, "clips-", "unseen-", "brief-"))]
    assert not unheard, "a stage without a heading"
