"""A dataset read back with pyarrow and Pillow: raw values, as they were recorded. Needs `worldstep[data]`."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

EPISODES_PER_FILE = 64
"""Episodes of one file of `data`, of `meta/episodes` and of each table."""
FILES_PER_CHUNK = 1000
"""Files of one chunk."""
IMAGE_PREFIX = "observation.images."
"""How the names of image features begin."""
PLANES = {"normal": 3, "flow_forward": 2, "flow_backward": 2, "coordinates": 3}
"""Values a pixel of the channels whose images are planes above each other."""
TABLES = ("contacts", "forces", "events")
"""Names of the tables under `events/`."""


@dataclass
class Clip:
    """One episode: every feature as an array over its rows, its facts and its tables."""

    facts: dict[str, Any]
    """Its row of `meta/episodes`, statistics left out."""
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    """By feature: rows, then its shape; images: rows, height, width, and channels or planes."""
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Rows of `contacts`, `forces` and `events`."""

    def __len__(self) -> int:
        """Rows."""
        return int(self.facts["length"])


class Dataset:
    """A folder that `worldstep synth` wrote."""

    def __init__(self, folder: Path | str) -> None:
        """Read what is under `meta`."""
        self.folder = Path(folder)
        self.info = json.loads((self.folder / "meta/info.json").read_text())
        self.worldstep: dict[str, Any] = self.info["worldstep"]
        self.fps: int = self.info["fps"]
        self.features: dict[str, dict[str, Any]] = self.info["features"]
        self.labels: list[dict[str, Any]] = self.worldstep["scenarios"][0]["instances"]
        self.cameras: list[str] = self.worldstep["cameras"]
        self.episodes: list[dict[str, Any]] = []
        for file in range(-(-self.info["total_episodes"] // EPISODES_PER_FILE)):
            table = pq.ParquetFile(self._path("meta/episodes", file))
            facts = [name for name in table.schema_arrow.names if not name.startswith("stats/")]
            self.episodes += table.read(columns=facts).to_pylist()

    def clip(self, index: int) -> Clip:
        """Read and decode one episode."""
        file, group = divmod(index, EPISODES_PER_FILE)
        rows = pq.ParquetFile(self._path("data", file)).read_row_group(group)
        clip = Clip(self.episodes[index])
        for name, feature in self.features.items():
            values = rows[name].to_pylist()
            if feature["dtype"] == "image":
                clip.columns[name] = np.stack([decode(value["bytes"], name) for value in values])
            else:
                clip.columns[name] = np.asarray(values, dtype=feature["dtype"])
        for name in TABLES:
            table = pq.read_table(self._path(f"events/{name}", file), filters=[("episode_index", "=", index)])
            clip.tables[name] = table.to_pylist()
        return clip

    def _path(self, part: str, file: int) -> Path:
        chunk, within = divmod(file, FILES_PER_CHUNK)
        return self.folder / part / f"chunk-{chunk:03d}" / f"file-{within:03d}.parquet"


def decode(data: bytes, feature: str) -> np.ndarray:
    """Raw values of an image file: height, width, and 3 for colour, or the planes stacked in it."""
    values = np.asarray(Image.open(io.BytesIO(data)))
    planes = PLANES.get(channel(feature))
    if planes is not None:
        height, width = values.shape
        values = np.moveaxis(values.reshape(planes, height // planes, width), 0, -1)
    return values


def channel(feature: str) -> str:
    """`observation.images.depth.wrist` is of the channel `depth`."""
    return feature.removeprefix(IMAGE_PREFIX).split(".")[0]


def find_datasets(folder: Path | str) -> list[Path]:
    """Give the folder itself, or the datasets in its subfolders, by path."""
    folder = Path(folder)
    if (folder / "meta/info.json").exists():
        return [folder]
    return sorted(info.parent.parent for info in folder.glob("**/meta/info.json"))
