"""`worldstep data check`, `worldstep data report` and `worldstep export`, as a shell sees them."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from worldstep import private_server

CLIPS = 3


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [private_server.find_binary(), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_json(*arguments: str | Path) -> dict[str, Any]:
    finished = run(*arguments, "--json")
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny dataset."""
    folder = tmp_path_factory.mktemp("data") / "clips"
    how = ["--scenario", "catch-behind-screen", "--clips", str(CLIPS), "--size", "32"]
    run_json("synth", *how, "--out", folder)
    return folder


def test_check_passes_a_clean_set_and_names_what_is_wrong_with_another(data: Path, tmp_path: Path) -> None:
    report = run_json("data", "check", data)
    assert report["ok"] and report["findings"] == []
    assert report["datasets"][0]["clips_decoded"] == CLIPS
    content_hash = report["datasets"][0]["content_hash"]
    assert run_json("data", "check", data, "--sample", "0.4", "--expect", content_hash)["ok"]
    damaged = tmp_path / "damaged"
    subprocess.run(["cp", "-r", data, damaged], check=True)
    info = damaged / "meta/info.json"
    info.write_text(info.read_text().replace(f'"total_episodes": {CLIPS}', f'"total_episodes": {CLIPS + 1}'))
    (damaged / "events/events/chunk-000/file-000.parquet").write_bytes(b"PAR1")
    finished = run("data", "check", damaged, "--json")
    assert finished.returncode == 1
    found = json.loads(finished.stdout)
    assert not found["ok"] and {"index", "unreadable"} <= set(found["counts"])
    assert all(finding["message"] and finding["dataset"] == str(damaged) for finding in found["findings"])
    assert len(finished.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data", "check", "/nowhere"], 'no dataset at "/nowhere"'),
        (["data", "check", ".", "--sample", "2"], "--sample is 2"),
        (["data", "report", "/nowhere"], 'no dataset at "/nowhere"'),
        (["data", "merge", "/nowhere", "--out", "x"], 'no dataset at "/nowhere"'),
        (["data", "check", "."], "no meta/info.json"),
        (["export", "/nowhere", "--to", "webdataset", "--out", "x"], 'no dataset at "/nowhere"'),
        (["export", "/nowhere", "--to", "rerun", "--out", "x"], 'no dataset at "/nowhere"'),
        (["export", ".", "--to", "webdataset", "--out", "x", "--shard-mib", "0"], "--shard-mib is 0"),
        (["export", ".", "--to", "webdataset", "--out", "x", "--shard-mib", str(1 << 44)], "expected 1 to"),
        (["export", ".", "--to", "webdataset", "--out", "x", "--clips", "3"], "--to rerun"),
        (["synth", "--scenario", "toss", "--clips", "1", "--out", "x", "--policy", "lazy"], "lazy"),
    ],
)
def test_bad_input_is_one_clear_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    command = [private_server.find_binary(), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert finished.returncode == 2, "the same request fails in the same way anywhere"
    assert said in finished.stderr and len(finished.stderr.strip().splitlines()) == 1
    assert "damaged" not in finished.stderr and list(tmp_path.iterdir()) == []


def test_report_is_one_page_that_needs_nothing_else(data: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert run_json("data", "report", data, "--out", page, "--clips", "1")["path"] == str(page)
    text = page.read_text()
    assert text.startswith("<!doctype html>") and "CatchBehindScreen-v0" in text
    assert "http://" not in text and "https://" not in text and "<script" not in text
    assert text.count("data:image/png;base64,") >= 2


def test_webdataset_shards_are_read_by_the_standard_library(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    exported = run_json("export", data, "--to", "webdataset", "--out", out)
    samples: dict[str, dict[str, bytes]] = defaultdict(dict)
    for shard in exported["shards"]:
        with tarfile.open(shard["path"]) as tar:
            for member in tar:
                key, extension = member.name.split(".", 1)
                samples[key][extension] = tar.extractfile(member).read()
                assert (member.mtime, member.uid, member.mode) == (0, 0, 0o644)
    assert len(samples) == exported["samples"]
    episodes = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    assert sum(episode["length"] for episode in episodes) == len(samples)
    last_of = {episode["episode_index"]: episode["length"] - 1 for episode in episodes}
    for key, sample in samples.items():
        row = json.loads(sample["json"])
        assert key == f"ep{row['episode_index']:06d}_f{row['frame_index']:05d}"
        assert sample["rgb.png"].startswith(b"\x89PNG") and sample["depth.tiff"][:2] in (b"II", b"MM")
        assert row["next.done"] == (row["frame_index"] == last_of[row["episode_index"]])
        assert len(row["object.pose"][0]) == 7 and len(row["camera.world_from_camera"]) == 4


def test_rerun_without_its_package_says_what_to_install(data: Path, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'rerun'\" >&2\nexit 1\n")
    bare.chmod(0o755)
    command = [private_server.find_binary(), "export", data, "--to", "rerun", "--out", tmp_path / "out"]
    finished = subprocess.run(
        command, capture_output=True, text=True, env={"WORLDSTEP_PYTHON": str(bare)}, check=False
    )
    assert finished.returncode == 1
    assert "pip install 'worldstep[rerun]'" in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1


def test_shards_of_several_scenarios_merge_into_the_undivided_sets(tmp_path: Path) -> None:
    how = ["--scenario", "catch-behind-screen,cart-pole", "--clips", "4", "--size", "16", "--channels", "rgb"]
    whole = run_json("synth", *how, "--out", tmp_path / "whole")
    parts = [tmp_path / f"part-{index}" for index in range(2)]
    for index, part in enumerate(parts):
        run_json("synth", *how, "--shard", f"{index}/2", "--out", part)
    merged = run_json("data", "merge", *reversed(parts), "--out", tmp_path / "merged")
    hashes = {dataset["content_hash"] for dataset in merged["datasets"]}
    assert hashes == {dataset["content_hash"] for dataset in whole["datasets"]} and len(hashes) == 2
    finished = run("data", "merge", parts[0], "--out", tmp_path / "incomplete")
    assert finished.returncode == 2 and len(finished.stderr.strip().splitlines()) == 1
