"""`lerobot` opens a dataset as it is, and gives back every value that was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from worldstep.dataset import PLANES, Dataset, channel


@pytest.fixture(scope="module")
def both(data: Path) -> tuple[LeRobotDataset, Dataset]:
    """The same dataset through `lerobot`, and through pyarrow and Pillow."""
    return LeRobotDataset(f"worldstep/{data.name}", root=data), Dataset(data)


def test_meta_is_understood(both: tuple[LeRobotDataset, Dataset]) -> None:
    opened, written = both
    assert opened.num_episodes == len(written.episodes)
    assert opened.num_frames == sum(episode["length"] for episode in written.episodes)
    assert opened.fps == written.fps
    assert set(opened.features) == set(written.features)
    assert len(opened.meta.tasks) == 1 and opened.meta.tasks.index.name == "task"
    for name in written.features:
        statistics = opened.meta.stats[name]
        assert {"min", "max", "mean", "std", "count"} <= set(statistics), name
        assert statistics["count"][0] == opened.num_frames


def test_every_feature_of_every_row_is_what_was_written(both: tuple[LeRobotDataset, Dataset]) -> None:
    opened, written = both
    compared = 0
    for index, episode in enumerate(written.episodes):
        clip = written.clip(index)
        for frame in range(len(clip)):
            row = opened[episode["dataset_from_index"] + frame]
            assert row["episode_index"] == index and row["frame_index"] == frame
            assert abs(float(row["timestamp"]) - frame / written.fps) < 1e-4
            assert row["task"] == opened.meta.tasks.index[0]
            for name, feature in written.features.items():
                given, expected = row[name], clip.columns[name][frame]
                if feature["dtype"] == "image":
                    given, expected = image(given), stored(name, expected)
                else:
                    given = np.asarray(given)
                assert given.shape == expected.shape or (given.size == expected.size == 1), name
                np.testing.assert_array_equal(given.reshape(expected.shape), expected, err_msg=name)
                compared += 1
    assert compared == opened.num_frames * len(written.features)


def test_windows_of_time_stay_within_their_episode(data: Path) -> None:
    fps = Dataset(data).fps
    delta = {"object.pose": [-1 / fps, 0.0, 1 / fps], "action": [0.0, 1 / fps]}
    opened = LeRobotDataset(f"worldstep/{data.name}", root=data, delta_timestamps=delta)
    first = opened[0]
    assert first["object.pose"].shape[0] == 3 and bool(first["object.pose_is_pad"][0])
    torch.testing.assert_close(first["object.pose"][2], opened[1]["object.pose"][1], rtol=0, atol=0)


def image(given: torch.Tensor) -> np.ndarray:
    """An image as `lerobot` gives it, channels last; 8-bit colours come as floats from 0 to 1."""
    values = given.numpy()
    return np.moveaxis(values, 0, -1)


def stored(name: str, values: np.ndarray) -> np.ndarray:
    """The same image as it is in the file, in `lerobot`'s units."""
    what = channel(name)
    if what == "rgb":
        return values.astype(np.float32) / np.float32(255)
    if what in PLANES:
        values = np.concatenate(np.moveaxis(values, -1, 0))
    return values[..., None]
