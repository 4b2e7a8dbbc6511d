"""What environments are asked for: what no server can do is refused before one is asked."""

from __future__ import annotations

from typing import Any, Literal, get_args

import gymnasium
import numpy as np

from worldstep.errors import InvalidAction, Unsupported, WorldstepError

Engine = Literal["truth", "dream"]
Obs = Literal["state", "rgb", "depth", "codes", "latent"]


def check_arguments(
    num_envs: int,
    engine: str,
    obs: str,
    address: str | None,
    model: str | None,
    render_mode: str | None,
) -> None:
    """Raise for what no server can do."""
    if num_envs < 1:
        raise WorldstepError(f"num_envs is {num_envs}, expected at least 1")
    if engine not in get_args(Engine):
        raise Unsupported(f"engine is {engine!r}, expected 'truth' or 'dream'")
    if obs not in get_args(Obs):
        raise Unsupported(
            f"obs is {obs!r}, expected 'state' or 'rgb', "
            "of truth also 'depth', of a dream also 'codes' or 'latent'"
        )
    if address is not None and model is not None:
        raise Unsupported("a server at an address has its own model: leave `model` out")
    if render_mode not in (None, "rgb_array"):
        raise Unsupported(f"render_mode is {render_mode!r}, expected None or 'rgb_array'")
    if render_mode == "rgb_array" and obs != "rgb":
        raise Unsupported("render_mode 'rgb_array' shows what is observed: it needs obs='rgb'")


def check_temperature(engine: str, temperature: float | None) -> None:
    """Raise for a temperature that cannot be dreamt at."""
    if temperature is None:
        return
    if engine != "dream":
        raise Unsupported("truth has no temperature: leave it out, or ask for engine='dream'")
    if not (np.isfinite(temperature) and temperature >= 0):
        raise WorldstepError(f"temperature is {temperature}, expected a number from 0 on")


def reset_options(options: dict[str, Any] | None, num_envs: int) -> tuple[np.ndarray, dict[str, float]]:
    """Give the reset mask, bool of `(num_envs,)`, and the other options as the server takes them."""
    others = {name: value for name, value in (options or {}).items() if name != "reset_mask"}
    unknown = set(others) - {"difficulty"}
    if unknown:
        raise WorldstepError(
            f"options {sorted(unknown)} are unknown; there are 'reset_mask' and 'difficulty'"
        )
    try:
        others = {name: float(value) for name, value in others.items() if value is not None}
    except (TypeError, ValueError) as error:
        raise WorldstepError(f"difficulty is no number: {error}") from error
    given = (options or {}).get("reset_mask")
    mask: np.ndarray = np.ones(num_envs, dtype=bool) if given is None else np.asarray(given)
    if mask.dtype != bool or mask.shape != (num_envs,):
        raise WorldstepError(
            f"reset_mask is {mask.dtype} of shape {mask.shape}, expected bool of ({num_envs},)"
        )
    return mask, others


def encode_actions(actions: Any, space: gymnasium.Space[Any], count: int) -> bytes:
    """Give `count` actions of one environment's `space` as the server takes them.

    Shape, type and finiteness are checked here, the bounds by the server.
    """
    shape, dtype = (count, *(space.shape or ())), np.dtype(space.dtype)
    try:
        array = np.asarray(actions)
    except (ValueError, TypeError) as error:
        raise InvalidAction(f"actions are no array: {error}") from error
    if array.shape != shape:
        raise InvalidAction(f"actions have shape {array.shape}, expected {shape}")
    continuous = np.issubdtype(dtype, np.floating)
    if array.dtype.kind not in ("fiu" if continuous else "iu"):
        raise InvalidAction(f"actions are {array.dtype}, expected {dtype}")
    if continuous and not np.isfinite(array).all():
        raise InvalidAction("actions hold NaN or infinity")
    return np.ascontiguousarray(array, dtype=dtype.newbyteorder("<")).tobytes()


def neutral_action(space: gymnasium.Space[Any]) -> np.ndarray:
    """Give a member of an action space: zero, or the nearest to it."""
    if isinstance(space, gymnasium.spaces.Box):
        return np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
    start = getattr(space, "start", 0)
    return np.full(space.shape or (), start, space.dtype)
