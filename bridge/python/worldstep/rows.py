"""Rows of environments, from the frames of a reply to what Gymnasium gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from worldstep import wire
from worldstep.connection import Check, Connection
from worldstep.errors import ProtocolError
from worldstep.wire import Header

Stepped = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]
"""Observations, rewards, terminated, truncated, infos."""
_FLAGS = ("success", "diverged")


class RowReader:
    """How the rows of one session are read."""

    def __init__(self, space: gymnasium.Space[Any], info_names: Sequence[str], *, copy: bool) -> None:
        """Read observations of `space` and infos of these names; without `copy`, views of what came."""
        self._shape, self._dtype = space.shape or (), np.dtype(space.dtype)
        self._row_bytes = math.prod(self._shape) * self._dtype.itemsize
        self._info_names = list(info_names)
        self._copies = copy

    def check(self, count: int) -> Check:
        """Give what tells a whole answer of `count` rows from one that was cut on its way."""

        def check(header: Header, frames: list[bytes]) -> None:
            wire.check_rows(header, frames, count, (self._row_bytes, len(self._info_names)))

        return check

    def read(
        self,
        connection: Connection,
        reply: tuple[Header, list[bytes]],
        touched: np.ndarray | bool = True,
    ) -> Stepped:
        """Decode a reply; infos of environments that were not `touched` are those of an earlier step."""
        header, frames = reply
        count, columns = header.num_envs, len(self._info_names)
        floats = 4 * count * (1 + columns)
        try:
            observations = self._observations(connection, header, frames[0])
            numbers = np.frombuffer(frames[1][:floats], "<f4").reshape(1 + columns, count)
            flags = np.frombuffer(frames[1][floats:], np.uint8).reshape(2 + columns, count).astype(bool)
            finals = self._finals(frames[2:], count)
        except ValueError as error:
            raise ProtocolError(f"reply of unexpected size: {error}") from error
        infos = self._infos(numbers[1:], flags[2:] & touched)
        return observations, numbers[0].astype(np.float64), flags[0], flags[1], infos | finals

    def _observations(self, connection: Connection, header: Header, frame: bytes) -> Any:
        count = header.num_envs
        if header.shared and connection.card is not None:
            return connection.card.array(frame, (count, *self._shape), self._dtype)
        data = connection.observations(header, frame, count * self._row_bytes)
        observations = np.frombuffer(data, self._dtype).reshape(count, *self._shape)
        return observations.copy() if self._copies else observations

    def _infos(self, values: np.ndarray, masks: np.ndarray) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for name, value, mask in zip(self._info_names, values, masks, strict=True):
            if mask.any():
                infos[name] = np.where(mask, value, 0).astype(bool if name in _FLAGS else np.float32)
                infos[f"_{name}"] = mask
        return infos

    def _finals(self, frames: list[bytes], count: int) -> dict[str, Any]:
        """Infos on the last rows of episodes that were followed by the next one in the same step."""
        if not frames:
            return {}
        observations, rest = frames
        columns = len(self._info_names)
        mask = np.frombuffer(rest, np.uint8)[len(rest) - count :].astype(bool)
        ended = int(mask.sum())
        last = np.frombuffer(observations, self._dtype).reshape(ended, *self._shape)
        floats = 4 * ended * columns
        values = np.zeros((columns, count), np.float32)
        values[:, mask] = np.frombuffer(rest[:floats], "<f4").reshape(columns, ended)
        masks = np.zeros((columns, count), bool)
        masks[:, mask] = np.frombuffer(rest[floats : len(rest) - count], np.uint8).reshape(columns, ended)
        final_obs = np.full(count, None, object)
        for place, observation in zip(np.flatnonzero(mask), last, strict=True):
            final_obs[place] = observation.copy()
        final_info = self._infos(values, masks)
        return {
            "final_obs": final_obs,
            "_final_obs": mask,
            "final_info": final_info,
            "_final_info": mask.copy(),
        }
