"""Robots' files as tasks: what `make_vec("robot.urdf", robot={...})` asks its private server for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from worldstep.errors import Unsupported, WorldstepError

SUFFIXES = (".urdf", ".xml", ".mjcf")
"""How the names of robots' files end."""
Value = str | float | bool | Sequence[float]
"""One setting of a sensor."""
Settings = Mapping[str, str | float | bool | Sequence[str | Mapping[str, Value]]]
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
        lines.append(f"{name} = {_toml(name, value)}")
    return f"robot/{file.stem}", "\n".join(lines) + "\n"


def _toml(name: str, value: object) -> str:
    """Write a value on one line."""
    if isinstance(value, str | int | float):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(name, one) for one in value)}]"
    if isinstance(value, Mapping):
        entries = (f"{json.dumps(str(key))} = {_toml(name, one)}" for key, one in value.items())
        return f"{{ {', '.join(entries)} }}"
    raise WorldstepError(f"{name} of a robot is {value!r}, expected a number, text, bool, list or table")
