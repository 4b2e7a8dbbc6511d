"""A job on a Ray cluster of several nodes ends with the bits of a single run, whatever is lost on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import ray
from conftest import run_json
from ray.cluster_utils import Cluster

from worldstep import cluster, private_server

TASK = "catch-behind-screen"
CLIPS = 640
SHARDS = 3
START_ATTEMPTS = 4
T = TypeVar("T")


@pytest.fixture
def nodes() -> Iterator[tuple[Cluster, list]]:
    """Two machines of one core beside a head that computes nothing."""
    local = patient(lambda: Cluster(initialize_head=True, head_node_args={"num_cpus": 0}))
    workers = [patient(lambda: local.add_node(num_cpus=1)) for _ in range(2)]
    ray.init(address=local.address, log_to_driver=False)
    yield local, workers
    ray.shutdown()
    local.shutdown()


def patient(start: Callable[[], T]) -> T:
    """Ray gives a node 30 s to start and no way to change that, which is short for a busy machine."""
    for _ in range(START_ATTEMPTS - 1):
        try:
            return start()
        except Exception as error:  # Ray raises no class of its own here.
            print(f"a node did not start ({error}), trying again")
    return start()


def job(out: Path, **more: object) -> cluster.Job:
    how = {"scenario": TASK, "clips": CLIPS, "out": out, "shards": SHARDS, "seed": 3}
    how["extra"] = ("--size", "16", "--channels", "rgb")
    return cluster.Job(**(how | {"binary": private_server.find_binary()} | more))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_node_that_dies_in_the_middle_changes_no_bit(nodes: tuple[Cluster, list], tmp_path: Path) -> None:
    local, workers = nodes
    this = job(tmp_path / "merged")
    killed = threading.Event()

    def kill_when_some_clips_are_done() -> None:
        while sum(cluster.clips_in(this.shard_folder(index)) for index in range(SHARDS)) == 0:
            time.sleep(0.02)
        local.remove_node(workers[0], allow_graceful=False)
        killed.set()

    killer = threading.Thread(target=kill_when_some_clips_are_done, daemon=True)
    killer.start()
    seen: list[cluster.Progress] = []
    cluster.record(this, seen.append)
    assert killed.is_set()
    assert seen[-1].restarts >= 1, "the node that died was recording"
    assert seen[-1].clips_done == CLIPS and seen[-1].shards_done == SHARDS
    assert not this.shard_root.exists()
    whole = tmp_path / "whole"
    run_json(
        "synth", "--scenario", TASK, "--clips", str(CLIPS), "--seed", "3", "--out", whole,
        "--size", "16", "--channels", "rgb",
    )  # fmt: skip
    merged, single = files(this.out), files(whole)
    assert merged.keys() == single.keys()
    assert [name for name in single if merged[name] != single[name]] == []


def test_a_shard_that_cannot_succeed_ends_the_job_with_its_reason(
    nodes: tuple[Cluster, list], tmp_path: Path
) -> None:
    wrong = job(tmp_path / "merged", scenario="toss-nothing", retries=3)
    seen: list[cluster.Progress] = []
    with pytest.raises(cluster.ShardFailed, match=r"refused: .*toss-nothing"):
        cluster.record(wrong, seen.append)
    assert all(progress.restarts == 0 for progress in seen), "another try would have ended the same way"


def test_a_shard_that_may_yet_succeed_is_tried_again(nodes: tuple[Cluster, list], tmp_path: Path) -> None:
    failing = tmp_path / "worldstep"
    failing.write_text(f"#!/bin/sh\necho tried >> {tmp_path}/tries\necho 'no device' >&2\nexit 1\n")
    failing.chmod(0o755)
    lost = job(tmp_path / "merged", binary=str(failing), shards=1, retries=2)
    with pytest.raises(cluster.ShardFailed, match=r"lost 3 times, last: .*no device"):
        cluster.record(lost)
    assert (tmp_path / "tries").read_text() == "tried\n" * 3


def test_more_shards_than_files_are_of_no_use() -> None:
    assert cluster.shards_of_use(640, 3) == 3
    assert cluster.shards_of_use(65, 8) == 2
    assert cluster.shards_of_use(1, 8) == 1


def test_a_folder_with_something_in_it_is_refused(nodes: tuple[Cluster, list], tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        cluster.record(job(tmp_path))
