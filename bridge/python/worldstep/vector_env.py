"""Many environments behind one server, as a `gymnasium.vector.VectorEnv`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space

from worldstep import private_server, wire
from worldstep.autoreset import AutoresetMode
from worldstep.connection import Connection
from worldstep.errors import InvalidAction, InvalidState, ProtocolError, Unsupported, WorldstepError
from worldstep.spaces import space_from_map
from worldstep.wire import Op

Engine = Literal["truth", "dream"]
Obs = Literal["state", "rgb", "codes"]

TIMEOUT_S = 300.0
"""How long a server may take for one request (the first one of a dream compiles kernels)."""
_STATE_MAGIC = b"worldstep-state-1\n"
_MODES = {AutoresetMode.NEXT_STEP: "next_step", AutoresetMode.DISABLED: "disabled"}
_FLAGS = ("success", "diverged")


class WorldstepVectorEnv(gymnasium.vector.VectorEnv[np.ndarray, Any, np.ndarray]):
    """Environments that a Worldstep server steps, one message a step.

    `autoreset_mode` is NEXT_STEP (an ended environment ignores the next action and starts anew) or
    DISABLED (ended environments must be reset with `options={"reset_mask": ...}`). Infos are Gymnasium's:
    `infos["success"]` and, where it is set, `infos["_success"]`.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (Gymnasium's)

    def __init__(
        self,
        id: str,
        num_envs: int = 1,
        *,
        engine: Engine = "truth",
        obs: Obs | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        temperature: float | None = None,
        address: str | None = None,
        server_key: str | None = None,
        client_key: str | None = None,
        model: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Open a session; see `make_vec`."""
        self._keys = (server_key, client_key)
        self._server: private_server.PrivateServer | None = None
        self._connection: Connection | None = None
        self.closed = True
        mode = AutoresetMode(autoreset_mode)
        obs = obs or ("rgb" if engine == "dream" else "state")
        self._check_arguments(num_envs, engine, obs, mode, address, model, render_mode)
        self._check_temperature(engine, temperature)
        self.num_envs = num_envs
        self.render_mode = render_mode
        # Where TorchRL looks for it; Gymnasium's place is `metadata`.
        self.autoreset_mode = mode
        if address is None:
            self._server = private_server.acquire(model)
        self.closed = False
        try:
            chosen = {} if temperature is None else {"temperature": float(temperature)}
            request = {"id": id, "engine": engine, "obs": obs, "num_envs": num_envs}
            described = self._open(address, {**request, "autoreset_mode": _MODES[mode], **chosen})
        except BaseException:
            self.close()
            raise
        self.single_observation_space = space_from_map(described["observation_space"])
        self.single_action_space = space_from_map(described["action_space"])
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.max_episode_steps: int = described["max_episode_steps"]
        self.metadata = {
            "render_modes": ["rgb_array"] if obs == "rgb" else [],
            "render_fps": described["fps"],
            "autoreset_mode": mode,
        }
        self._info_names: list[str] = described["info_names"]
        self._seeded = np.zeros(num_envs, dtype=bool)
        self._observations = np.zeros(self.observation_space.shape or (), self.observation_space.dtype)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start episodes, in the environments of `options["reset_mask"]` if that is given.

        Environment `i` gets `seed + i`, or `seed[i]`. Environments that never had a seed draw one from
        `np_random`; the others go on with their random stream. Observations are those of all environments,
        infos only of those that were reset.
        """
        super().reset(seed=seed if isinstance(seed, int | np.integer) else None)
        mask = self._reset_mask(options)
        seeds = self._seeds(seed, mask)
        frames = self._connected().ask(Op.RESET, wire.reset_frames(seeds, mask))
        self._seeded |= mask
        observations, _, _, _, infos = self._rows(frames, mask)
        return observations, infos

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every environment."""
        encoded = self._encode_actions(actions)
        return self._rows(self._connected().ask(Op.STEP, [encoded]))

    def render(self) -> tuple[Any, ...] | None:
        """Give the frames of the last observation."""
        return tuple(self._observations.copy()) if self.render_mode == "rgb_array" else None

    def save_state(self) -> bytes:
        """Give everything that the future of all environments depends on."""
        lengths, blob = self._connected().ask(Op.SAVE)
        return _STATE_MAGIC + lengths + blob

    def load_state(self, state: bytes) -> np.ndarray:
        """Put all environments back into a saved state, or none of them; return their observations."""
        lengths_end = len(_STATE_MAGIC) + 8 * self.num_envs
        if not state.startswith(_STATE_MAGIC) or len(state) < lengths_end:
            raise InvalidState(f"not a saved state of {self.num_envs} Worldstep environments")
        frames = [state[len(_STATE_MAGIC) : lengths_end], state[lengths_end:]]
        wire.states_from_frames(frames)
        observations: np.ndarray = self._rows(self._connected().ask(Op.LOAD, frames))[0]
        self._seeded[:] = True
        return observations

    def metrics(self) -> dict[str, float]:
        """Counters, waits and batch sizes of the server since it started."""
        return wire.unpack(self._connected().ask(Op.METRICS))

    def close_extras(self, **kwargs: Any) -> None:
        """End the session, and the private server with its last session."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.ask(Op.CLOSE, timeout_s=2.0)
            except WorldstepError:
                # The server has gone, and the session with it.
                pass
            finally:
                connection.disconnect()
        server, self._server = self._server, None
        if server is not None:
            private_server.release(server)

    @staticmethod
    def _check_arguments(
        num_envs: int,
        engine: str,
        obs: str,
        mode: AutoresetMode,
        address: str | None,
        model: str | None,
        render_mode: str | None,
    ) -> None:
        """Raise for what no server can do."""
        if num_envs < 1:
            raise WorldstepError(f"num_envs is {num_envs}, expected at least 1")
        if engine not in ("truth", "dream"):
            raise Unsupported(f"engine is {engine!r}, expected 'truth' or 'dream'")
        if obs not in ("state", "rgb", "codes"):
            raise Unsupported(f"obs is {obs!r}, expected 'state', 'rgb' or, of a dream, 'codes'")
        if mode not in _MODES:
            raise Unsupported(f"autoreset_mode {mode.name} is not supported yet: use NEXT_STEP")
        if address is not None and model is not None:
            raise Unsupported("a server at an address has its own model: leave `model` out")
        if render_mode not in (None, "rgb_array"):
            raise Unsupported(f"render_mode is {render_mode!r}, expected None or 'rgb_array'")
        if render_mode == "rgb_array" and obs != "rgb":
            raise Unsupported("render_mode 'rgb_array' shows what is observed: it needs obs='rgb'")

    @staticmethod
    def _check_temperature(engine: str, temperature: float | None) -> None:
        if temperature is None:
            return
        if engine != "dream":
            raise Unsupported("truth has no temperature: leave it out, or ask for engine='dream'")
        if not (np.isfinite(temperature) and temperature >= 0):
            raise WorldstepError(f"temperature is {temperature}, expected a number from 0 on")

    def _open(self, address: str | None, request: dict[str, Any]) -> Any:
        server = self._server
        check_alive = server.check_alive if server else None
        address = server.address if server else address
        self._connection = Connection(str(address), TIMEOUT_S, check_alive, self._keys)
        self._connection.hello()
        return self._connection.open(request)

    def _connected(self) -> Connection:
        if self._connection is None:
            raise gymnasium.error.ClosedEnvironmentError("the environment is closed: make a new one")
        return self._connection

    def _reset_mask(self, options: dict[str, Any] | None) -> np.ndarray:
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.ones(self.num_envs, dtype=bool)
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (self.num_envs,):
            raise WorldstepError(
                f"reset_mask is {mask.dtype} of shape {mask.shape}, expected bool of ({self.num_envs},)"
            )
        return mask

    def _seeds(self, seed: Any, mask: np.ndarray) -> list[int | None]:
        if seed is None:
            seeds: list[int | None] = [None] * self.num_envs
        elif isinstance(seed, int | np.integer):
            seeds = [int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = [None if one is None else int(one) for one in seed]
        if len(seeds) != self.num_envs:
            raise WorldstepError(f"{len(seeds)} seeds, expected {self.num_envs}")
        for i in np.flatnonzero(mask & ~self._seeded):
            if seeds[i] is None:
                seeds[i] = int(self.np_random.integers(2**63))
        if any(one is not None and not 0 <= one < 2**64 for one in seeds):
            raise WorldstepError("a seed is negative or has more than 64 bits")
        return seeds

    def _encode_actions(self, actions: Any) -> bytes:
        """Check shape, type and finiteness here; the server checks the bounds."""
        space = self.action_space
        try:
            array = np.asarray(actions)
        except ValueError as error:
            raise InvalidAction(f"actions are no array: {error}") from error
        if array.shape != space.shape:
            raise InvalidAction(f"actions have shape {array.shape}, expected {space.shape}")
        continuous = np.issubdtype(space.dtype, np.floating)
        if array.dtype.kind not in ("fiu" if continuous else "iu"):
            raise InvalidAction(f"actions are {array.dtype}, expected {space.dtype}")
        if continuous and not np.isfinite(array).all():
            raise InvalidAction("actions hold NaN or infinity")
        return np.ascontiguousarray(array, dtype=np.dtype(space.dtype).newbyteorder("<")).tobytes()

    def _rows(
        self, frames: list[bytes], touched: np.ndarray | bool = True
    ) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Decode a reply; infos of environments that were not `touched` are those of an earlier step."""
        if len(frames) != 6:
            raise ProtocolError(f"{len(frames)} frames, expected 6")
        columns = (len(self._info_names), self.num_envs)
        shape, dtype = self.observation_space.shape, self.observation_space.dtype
        try:
            observations = np.frombuffer(frames[0], dtype).reshape(shape).copy()
            rewards = np.frombuffer(frames[1], "<f4").reshape(self.num_envs).astype(np.float64)
            terminated = np.frombuffer(frames[2], np.uint8).reshape(self.num_envs).astype(bool)
            truncated = np.frombuffer(frames[3], np.uint8).reshape(self.num_envs).astype(bool)
            values = np.frombuffer(frames[4], "<f4").reshape(columns)
            masks = np.frombuffer(frames[5], np.uint8).reshape(columns).astype(bool) & touched
        except ValueError as error:
            raise ProtocolError(f"reply of unexpected size: {error}") from error
        self._observations = observations
        infos: dict[str, Any] = {}
        for name, value, mask in zip(self._info_names, values, masks, strict=True):
            if mask.any():
                infos[name] = np.where(mask, value, 0).astype(bool if name in _FLAGS else np.float32)
                infos[f"_{name}"] = mask
        return observations, rewards, terminated, truncated, infos


def make_vec(
    id: str,
    num_envs: int = 1,
    *,
    engine: Engine = "truth",
    obs: Obs | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    temperature: float | None = None,
    address: str | None = None,
    server_key: str | None = None,
    client_key: str | None = None,
    model: str | None = None,
    render_mode: str | None = None,
) -> WorldstepVectorEnv:
    """Make `num_envs` environments of the task `id`.

    `engine` is "truth" (physics) or "dream" (a learned world model, from the folder `model` or the server's
    own); `obs` is "state" or "rgb", by default state for truth and rgb for dream. Without an `address` a
    private server is started, shared by this process, and ended with its last environment or the process.
    A server with keys needs `server_key` (its public key, or the path of the file) and `client_key` (path of
    one's own secret key file), or WORLDSTEP_SERVER_KEY and WORLDSTEP_CLIENT_KEY in the environment.

    A dream is shown the first four frames of truth's episode with the same seed, so that it can tell
    velocities: three neutral actions are spent on them, and its reset observation is truth's frame 3, not 0.
    It draws the likeliest next frame, or with a `temperature` above 0 one of the likely ones. Its "codes" are
    what its frames are made of (8x8x4 levels), its "state" is where it believes its tracked objects to be
    (position in m and velocity in m/s of each, not the task's table); both cost no pixels. Its infos hold
    `uncertainty`, the mean entropy of the codes just dreamt, in nats; only truth knows `success` and the
    terms of the reward.
    """
    return WorldstepVectorEnv(
        id,
        num_envs,
        engine=engine,
        obs=obs,
        autoreset_mode=autoreset_mode,
        temperature=temperature,
        address=address,
        server_key=server_key,
        client_key=client_key,
        model=model,
        render_mode=render_mode,
    )
