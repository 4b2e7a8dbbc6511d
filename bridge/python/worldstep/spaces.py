"""Gymnasium spaces from what a server says about them."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from worldstep.errors import ProtocolError

_DTYPES: dict[str, Any] = {
    "float32": np.float32,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "int64": np.int64,
}


def space_from_map(described: dict[str, Any]) -> spaces.Space[Any]:
    """Build the space; raise `ProtocolError` for one that this client does not know."""
    match described:
        case {"type": "Box", "low": low, "high": high, "shape": shape, "dtype": dtype}:
            dtype = _DTYPES[dtype]
            return spaces.Box(_bounds(low, shape, dtype), _bounds(high, shape, dtype), dtype=dtype)
        case {"type": "Discrete", "n": n, "start": start}:
            return spaces.Discrete(n, start=start)
        case {"type": "MultiDiscrete", "nvec": nvec}:
            return spaces.MultiDiscrete(nvec)
        case {"type": "MultiBinary", "n": n}:
            return spaces.MultiBinary(n)
    raise ProtocolError(f"space {described!r} is unknown to this client: update it")


def _bounds(values: list[float], shape: list[int], dtype: type) -> np.ndarray:
    """Bounds given per element, or once for all."""
    if len(values) == 1:
        return np.full(shape, values[0], dtype=dtype)
    return np.array(values, dtype=dtype).reshape(shape)
