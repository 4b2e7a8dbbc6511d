"""Robots' files as tasks: what `make_vec("robot.urdf", robot={...})` asks its private server for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from worldstep.errors import Unsupported, WorldstepError

SUFFIXES = (".urdf", ".xml", ".mjcf")
"""How the names of robots' files end."""
Settings = Mapping[str, str | float | bool | Sequence[str]]
"""How a robot is driven and started: see `make_vec`."""


def is_file(id: str) -> bool:
    """Whether this names a robot's file, not a task."""
    return id.lower().endswith(SUFFIXES)


def describe(id: str, settings: Settings | None, address: str | None) -> tuple[str, str | None]:
    """Give the task's id, and if it is a robot's file, the text that tells a private server of it."""
    if not is_file(id) or id.startswith("robot/"):
        if settings is not None:
            raise WorldstepError(f"`robot` is for robots' files ({', '.join(SUFFIXES)}), and {id!r} is none")
        return id, None
    if address is not None:
        raise Unsupported(
            f"the server at {address} has its own files: start it with --robot, and ask for 'robot/NAME'"
        )
    file = Path(id)
    if not file.is_file():
        raise WorldstepError(f"{id} is not there, expected a URDF or MJCF file")
    # A file that has changed since is another robot.
    lines = [f"# {file.stat().st_mtime_ns}", f"file = {json.dumps(str(file.absolute()), ensure_ascii=False)}"]
    for name, value in (settings or {}).items():
        if name == "file":
            raise WorldstepError("the robot's file is named once, as the task")
        known = list(value) if isinstance(value, list | tuple) else [value]
        if not all(isinstance(one, str | int | float) for one in known):
            raise WorldstepError(f"{name} of a robot is {value!r}, expected a number, text, bool or a list")
        lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}")
    return f"robot/{file.stem}", "\n".join(lines) + "\n"
