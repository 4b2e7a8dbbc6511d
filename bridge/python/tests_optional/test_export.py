"""Exports read back with the libraries that they are for."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import webdataset as wds
from conftest import CLIPS, run, run_json
from PIL import Image
from rerun.chunk import RrdReader

from worldstep.dataset import IMAGE_PREFIX, PLANES, Dataset, channel
from worldstep.export_rerun import object_entity


def test_webdataset_gives_every_row_back(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    exported = run_json("export", data, "--to", "webdataset", "--out", out, "--shard-mib", "8")
    shards = [shard["path"] for shard in exported["shards"]]
    written = Dataset(data)
    clips = [written.clip(index) for index in range(CLIPS)]
    seen = 0
    for sample in wds.WebDataset(shards, shardshuffle=False):
        row = json.loads(sample["json"])
        clip, frame = clips[row["episode_index"]], row["frame_index"]
        assert sample["__key__"] == f"ep{row['episode_index']:06d}_f{frame:05d}"
        for name, feature in written.features.items():
            expected = clip.columns[name][frame]
            if feature["dtype"] == "image":
                extension = name.removeprefix(IMAGE_PREFIX)
                kind = "png" if channel(name) in ("rgb", "instance", "semantic") else "tiff"
                given = np.asarray(Image.open(io.BytesIO(sample[f"{extension}.{kind}"])))
                if channel(name) in PLANES:
                    given = np.stack(np.split(given, PLANES[channel(name)]), axis=-1)
            elif name == "task_index":
                continue
            else:
                given = np.asarray(row[name], dtype=feature["dtype"])
            np.testing.assert_array_equal(given, expected, err_msg=name)
        assert len(row["contacts"]) == sum(c["frame_index"] == frame for c in clip.tables["contacts"])
        seen += 1
    assert seen == exported["samples"] == sum(len(clip) for clip in clips)


def test_rerun_recordings_hold_the_clip(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "recordings"
    answer = run_json("export", data, "--to", "rerun", "--out", out, "--clips", "2")
    assert [Path(path).name for path in answer["recordings"]] == ["ep000000.rrd", "ep000001.rrd"]
    written = Dataset(data)
    clip = written.clip(1)
    chunks = list(RrdReader(out / "ep000001.rrd").stream())
    entities = {chunk.entity_path for chunk in chunks}
    for camera in written.cameras:
        entity = "/world/camera" + (f".{camera}" if camera else "")
        assert {f"{entity}/{name}" for name in written.worldstep["channels"]} <= entities
    depth = values(chunks, "/world/camera/depth", "DepthImage:buffer")
    assert depth.tobytes() == clip.columns[f"{IMAGE_PREFIX}depth"].tobytes()
    reward = values(chunks, "/signals/reward", "Scalars:scalars")
    np.testing.assert_array_equal(reward.astype(np.float32), clip.columns["next.reward"])
    for slot, label in enumerate(written.labels):
        if not clip.columns["object.instance_id"][0, slot]:
            continue
        entity = f"/{object_entity(label)}"
        place = values(chunks, entity, "Transform3D:translation").reshape(-1, 3)
        turn = values(chunks, entity, "Transform3D:quaternion").reshape(-1, 4)
        pose = clip.columns["object.pose"][:, slot]
        np.testing.assert_array_equal(np.concatenate([place, turn], axis=1), pose)
    lens = values(chunks, "/world/camera", "Pinhole:image_from_camera").reshape(-1, 3, 3)
    np.testing.assert_array_equal(lens.transpose(0, 2, 1), clip.columns["camera.intrinsics"])
    logged = sum(chunk.to_record_batch().num_rows for chunk in chunks if chunk.entity_path == "/events")
    assert logged == len(clip.tables["events"])
    again = tmp_path / "again"
    run_json("export", data, "--to", "rerun", "--out", again, "--episodes", "0,3")
    assert {path.name for path in again.iterdir()} == {"ep000000.rrd", "ep000003.rrd"}


@pytest.mark.parametrize(
    ("which", "said"),
    [
        (["--episodes", "1,4"], "has 4 clips"),
        (["--episodes", "-1"], "-1"),
        (["--clips", "-3"], "-3"),
        (["--clips", "0,5,7"], "0,5,7"),
        (["--clips", "1", "--episodes", "1"], "--episodes"),
        (["--shard-mib", "8"], "webdataset"),
    ],
)
def test_wrong_choices_are_refused_before_anything_is_written(
    data: Path, tmp_path: Path, which: list[str], said: str
) -> None:
    finished = run("export", data, "--to", "rerun", "--out", tmp_path / "out", *which)
    assert finished.returncode == 2 and said in finished.stderr, finished.stderr
    assert not (tmp_path / "out").exists()


def test_recordings_never_go_into_a_folder_with_something_in_it(data: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    finished = run("export", data, "--to", "rerun", "--out", tmp_path)
    assert finished.returncode == 2 and "not an empty folder" in finished.stderr
    direct = [sys.executable, "-m", "worldstep.export_rerun", str(data), "--out", str(tmp_path)]
    finished = subprocess.run(direct, capture_output=True, text=True, check=False)
    assert finished.returncode == 1 and "not an empty folder" in finished.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def values(chunks: list, entity: str, component: str) -> np.ndarray:
    """All values of a component over the clip, flat, in the order of frames."""
    rows: list[tuple[int, np.ndarray]] = []
    for chunk in chunks:
        batch = chunk.to_record_batch()
        if chunk.entity_path == entity and component in batch.schema.names and "frame" in batch.schema.names:
            frames = batch.column("frame").cast("int64").to_pylist()
            rows += [(frame, innermost(batch.column(component)[i : i + 1])) for i, frame in enumerate(frames)]
    return np.concatenate([row for _, row in sorted(rows, key=lambda row: row[0])])


def innermost(array: pa.Array) -> np.ndarray:
    """The numbers in nested lists."""
    while pa.types.is_nested(array.type):
        array = array.flatten()
    return array.to_numpy(zero_copy_only=False)
