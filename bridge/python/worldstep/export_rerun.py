"""Writes clips as Rerun recordings: `python -m worldstep.export_rerun DATA --out FOLDER`.

One recording a clip. `world/camera` holds what the main camera saw, `world/camera.NAME` a further one;
`world/objects` holds poses and boxes, `world/contacts` and `world/forces` arrows, `signals` the scalars,
`events` the log as text. Needs `worldstep[rerun]`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import rerun as rr

from worldstep.dataset import IMAGE_PREFIX, Clip, Dataset, channel, find_datasets

CLIPS_DEFAULT = 8
"""Clips that are exported unless told otherwise."""
ARROW_M = 0.5
"""Length of the arrow of a clip's strongest contact impulse or force, metres."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m worldstep.export_rerun", description=about)
    parser.add_argument("data", type=Path, help="dataset, or a folder with several in subfolders")
    parser.add_argument("--out", type=Path, required=True, help="folder for the recordings, new or empty")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--clips", type=int, metavar="COUNT", default=CLIPS_DEFAULT,
        help="how many clips of each dataset, from its first on (default: %(default)s)",
    )  # fmt: skip
    which.add_argument("--episodes", metavar="INDICES", help="which clips of each dataset, such as 0,5,7")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    args = parser.parse_args(arguments)
    if args.clips < 1:
        parser.error(f"--clips is {args.clips}, expected at least 1")
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise SystemExit(f"{args.out} is not an empty folder; exports go into a new one")
    datasets = {folder: Dataset(folder) for folder in find_datasets(args.data)}
    if not datasets:
        raise SystemExit(f"there is no dataset at {args.data}: no meta/info.json there or in its subfolders")
    # All of them before the first is written.
    indices = {folder: chosen(args.clips, args.episodes, len(d.episodes)) for folder, d in datasets.items()}
    written = []
    for folder, dataset in datasets.items():
        out = args.out / folder.relative_to(args.data)
        out.mkdir(parents=True, exist_ok=True)
        for index in indices[folder]:
            path = out / f"ep{index:06d}.rrd"
            try:
                write_clip(dataset, index, path)
            except (OSError, RuntimeError) as error:  # Rerun raises no class of its own.
                path.unlink(missing_ok=True)
                raise SystemExit(f"cannot export episode {index} to {path}: {error}") from None
            written.append(path)
            print(path, file=sys.stderr)
    if args.json:
        print(json.dumps({"recordings": [str(path) for path in written]}))


def chosen(clips: int, episodes: str | None, count: int) -> list[int]:
    """Indices that `--clips` or `--episodes` ask for."""
    if episodes is None:
        return list(range(min(clips, count)))
    try:
        numbers = [int(part) for part in episodes.split(",")]
    except ValueError:
        raise SystemExit(f"--episodes {episodes!r}: expected indices like 0,5,7") from None
    if any(not 0 <= index < count for index in numbers):
        raise SystemExit(f"--episodes {episodes!r}: there are {count} clips, from 0 on")
    return numbers


def write_clip(dataset: Dataset, index: int, path: Path) -> None:
    """Write one recording."""
    clip = dataset.clip(index)
    facts = clip.facts
    recording = rr.RecordingStream(
        "worldstep", recording_id=f"{facts['scenario']}-{index:06d}-{facts['content_hash'][:12]}"
    )
    recording.set_log_time_enabled(False)
    recording.set_log_tick_enabled(False)
    recording.save(path)
    recording.send_recording_name(f"{facts['scenario']} episode {index}")
    log_static(recording, dataset, clip)
    for frame in range(len(clip)):
        recording.set_time("frame", sequence=frame)
        recording.set_time("time", duration=frame / dataset.fps)
        for camera in dataset.cameras:
            log_camera(recording, clip, camera, frame)
        log_objects(recording, dataset, clip, frame)
        log_arrows(recording, clip, frame)
        log_signals(recording, dataset, clip, frame)
    recording.flush()
    recording.disconnect()


def suffix(camera: str) -> str:
    """What names of a camera's features and entities end in."""
    return f".{camera}" if camera else ""


def part(label: dict[str, Any]) -> str:
    """Give a thing's name as a part of an entity's path."""
    return str(rr.escape_entity_path_part(label["name"]))


def object_entity(label: dict[str, Any]) -> str:
    """Give the entity of a thing's pose and box."""
    return f"world/objects/{part(label)}"


def log_static(recording: rr.RecordingStream, dataset: Dataset, clip: Clip) -> None:
    """Log what holds for the whole clip: axes, names of ids, boxes, what it is about."""
    recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    names = [(label["id"], label["name"]) for label in dataset.labels]
    recording.log("world", rr.AnnotationContext([(0, "background"), *names]), static=True)
    facts = {name: value for name, value in clip.facts.items() if "/" not in name}
    text = f"# {clip.facts['caption'] or clip.facts['scenario']}\n\n"
    text += "".join(f"- **{name}**: {value}\n" for name, value in facts.items())
    recording.log("about", rr.TextDocument(text, media_type="text/markdown"), static=True)
    for label, (low, high) in zip(dataset.labels, extents(dataset, clip), strict=True):
        if low is not None:
            box = rr.Boxes3D(mins=[low], sizes=[high - low], class_ids=[label["id"]], labels=[label["name"]])
            recording.log(object_entity(label), box, static=True)


def extents(dataset: Dataset, clip: Clip) -> list[tuple[np.ndarray | None, np.ndarray | None]]:
    """Bounds of what is seen of each instance in its own frame, by slot."""
    found: list[tuple[np.ndarray | None, np.ndarray | None]] = []
    instance, points = (clip.columns.get(IMAGE_PREFIX + name) for name in ("instance", "coordinates"))
    for label in dataset.labels:
        seen = points[instance == label["id"]] if points is not None else np.empty((0, 3))
        found.append((seen.min(axis=0), seen.max(axis=0)) if len(seen) else (None, None))
    return found


def log_camera(recording: rr.RecordingStream, clip: Clip, camera: str, frame: int) -> None:
    """Log a camera's pose and images."""
    entity = f"world/camera{suffix(camera)}"
    pose = clip.columns[f"camera.world_from_camera{suffix(camera)}"][frame]
    recording.log(entity, rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]))
    intrinsics = clip.columns[f"camera.intrinsics{suffix(camera)}"][frame]
    height, width = clip.columns[f"{IMAGE_PREFIX}rgb{suffix(camera)}"].shape[1:3]
    axes = rr.ViewCoordinates.RDF
    lens = rr.Pinhole(image_from_camera=intrinsics, resolution=[width, height], camera_xyz=axes)
    recording.log(entity, lens)
    for name in [name for name in clip.columns if name.startswith(IMAGE_PREFIX)]:
        what = channel(name)
        if name == f"{IMAGE_PREFIX}{what}{suffix(camera)}":
            recording.log(f"{entity}/{what}", image(what, clip.columns[name][frame]))


def image(what: str, values: np.ndarray) -> rr.AsComponents:
    """Turn the values of one image into what Rerun draws, nothing rounded."""
    match what:
        case "rgb":
            return rr.Image(values)
        case "depth":
            return rr.DepthImage(values, meter=1.0)
        case "instance" | "semantic":
            return rr.SegmentationImage(values)
        case _:
            return rr.Tensor(values, dim_names=["height", "width", what])


def log_objects(recording: rr.RecordingStream, dataset: Dataset, clip: Clip, frame: int) -> None:
    """Log where things are."""
    ids = clip.columns["object.instance_id"][frame]
    for slot, label in enumerate(dataset.labels):
        if ids[slot]:
            pose = clip.columns["object.pose"][frame, slot]
            transform = rr.Transform3D(translation=pose[:3], quaternion=rr.Quaternion(xyzw=pose[3:]))
            recording.log(object_entity(label), transform)


def log_arrows(recording: rr.RecordingStream, clip: Clip, frame: int) -> None:
    """Log impulses of contacts and applied forces as arrows; the clip's strongest is half a metre long."""
    for table, vector in (("contacts", "impulse"), ("forces", "force")):
        rows = clip.tables[table]
        strongest = max((float(np.linalg.norm(row[vector])) for row in rows), default=0.0)
        now = [row for row in rows if row["frame_index"] == frame]
        scale = ARROW_M / strongest if strongest > 0 else 0.0
        arrows = rr.Arrows3D(
            origins=[row["point"] for row in now],
            vectors=[np.asarray(row[vector]) * scale for row in now],
        )
        recording.log(f"world/{table}", arrows)


def log_signals(recording: rr.RecordingStream, dataset: Dataset, clip: Clip, frame: int) -> None:
    """Log actions, rewards, visible shares and speeds, and what happens as text."""
    action = np.atleast_1d(clip.columns["action"][frame])
    recording.log("signals/action", rr.Scalars(action))
    recording.log("signals/reward", rr.Scalars(clip.columns["next.reward"][frame]))
    for slot, label in enumerate(dataset.labels):
        if label["moving"] and clip.columns["object.instance_id"][frame, slot]:
            speed = np.linalg.norm(clip.columns["object.velocity"][frame, slot, :3])
            recording.log(f"signals/speed/{part(label)}", rr.Scalars(speed))
            share = clip.columns["object.visibility"][frame, slot]
            recording.log(f"signals/visibility/{part(label)}", rr.Scalars(share))
    names = {label["id"]: label["name"] for label in dataset.labels} | {0: "nothing"}
    for event in clip.tables["events"]:
        if event["frame_index"] == frame:
            who = f"{names.get(event['a'], event['a'])}, {names.get(event['b'], event['b'])}"
            recording.log("events", rr.TextLog(f"{event['kind']}: {who} ({event['value']:.4g})"))


if __name__ == "__main__":
    main()
