"""Many environments behind one server, as a `gymnasium.vector.VectorEnv`."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space

from worldstep import private_server, robots, wire
from worldstep.arguments import (
    Engine,
    Obs,
    check_arguments,
    check_temperature,
    encode_actions,
    neutral_action,
    reset_options,
)
from worldstep.autoreset import AutoresetMode
from worldstep.card import STAND_IN, Card, find_card
from worldstep.connection import Connection
from worldstep.errors import (
    HostMemoryWarning,
    InvalidState,
    ServerNotFound,
    WorldstepError,
)
from worldstep.randomisation import Randomisation, ranges_map
from worldstep.rows import RowReader, Stepped
from worldstep.spaces import space_from_map
from worldstep.wire import Op

IN_FLIGHT_MAX = 2
"""Requests that a server takes of one session at a time."""

TIMEOUT_S = 300.0
"""How long a server may take for one request (the first one of a dream compiles kernels)."""
CLOSE_TIMEOUT_S = 2.0
"""How long a server may take for the end of a session: it ends with its lease in any case."""
_STATE_MAGIC = b"worldstep-state-1\n"
_MODES = {
    AutoresetMode.NEXT_STEP: "next_step",
    AutoresetMode.SAME_STEP: "same_step",
    AutoresetMode.DISABLED: "disabled",
}


class WorldstepVectorEnv(gymnasium.vector.VectorEnv[np.ndarray, Any, np.ndarray]):
    """Environments that a Worldstep server steps, one message a step.

    `autoreset_mode` is NEXT_STEP (an ended environment ignores the next action and starts anew), SAME_STEP
    (it starts anew at once: `infos["final_obs"]` and `infos["final_info"]` tell what it ended with) or
    DISABLED (ended environments must be reset with `options={"reset_mask": ...}`). Infos are Gymnasium's:
    `infos["success"]` and, where it is set, `infos["_success"]`.

    `step_async` and `step_wait` are the two halves of `step`; `send` and `recv` step some of the environments
    while the policy looks at others. On the server's machine, observations come through shared memory.
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
        randomisation: Randomisation | None = None,
        robot: robots.Settings | None = None,
        address: str | None = None,
        server_key: str | None = None,
        client_key: str | None = None,
        model: str | None = None,
        render_mode: str | None = None,
        copy: bool = True,
        share_memory: bool = True,
        device: str = "cpu",
    ) -> None:
        """Open a session; see `make_vec`."""
        self._keys = (server_key, client_key)
        self._steps: deque[np.ndarray | None] = deque()
        self._server: private_server.PrivateServer | None = None
        self._connection: Connection | None = None
        self.closed = True
        mode = AutoresetMode(autoreset_mode)
        obs = obs or ("rgb" if engine == "dream" else "state")
        check_arguments(num_envs, engine, obs, address, model, render_mode)
        check_temperature(engine, temperature)
        id, described_robot = robots.describe(id, robot, address)
        self.num_envs = num_envs
        self.render_mode = render_mode
        # Where TorchRL looks for it; Gymnasium's place is `metadata`.
        self.autoreset_mode = mode
        card = self._find_card(device)
        if address is None:
            # Only dreams are on a card.
            dreams_on = device if card is not None and (engine == "dream" or device == STAND_IN) else "cpu"
            card = card if self._start_server(model, described_robot, dreams_on) else None
        self.closed = False
        try:
            chosen: dict[str, Any] = {} if temperature is None else {"temperature": float(temperature)}
            if randomisation is not None:
                chosen["randomisation"] = ranges_map(randomisation)
            request = {"id": id, "engine": engine, "obs": obs, "num_envs": num_envs}
            described = self._open(
                address, {**request, "autoreset_mode": _MODES[mode], **chosen}, share_memory, card
            )
        except BaseException:
            self.close()
            raise
        self.device = device if self._connected().card is not None else "cpu"
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
        self._rows = RowReader(self.single_observation_space, described["info_names"], copy=copy)
        self._seeded = np.zeros(num_envs, dtype=bool)
        # Environments that are not stepped need an action in the message, too.
        self._neutral_action = encode_actions(
            neutral_action(self.single_action_space)[np.newaxis], self.single_action_space, 1
        )
        self._observations = np.zeros(self.observation_space.shape or (), self.observation_space.dtype)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start episodes, in the environments of `options["reset_mask"]` if that is given.

        `options["difficulty"]`, from 0 to 1, is how much of the ranges of its starts and goals truth uses in
        the episodes from this reset to the next one that is asked for.

        Environment `i` gets `seed + i`, or `seed[i]`. Environments that never had a seed draw one from
        `np_random`; the others go on with their random stream. Observations are those of all environments,
        infos only of those that were reset.
        """
        super().reset(seed=seed if isinstance(seed, int | np.integer) else None)
        mask, others = reset_options(options, self.num_envs)
        seeds = self._seeds(seed, mask)
        connection, check = self._idle(), self._rows.check(self.num_envs)
        connection.finish_reading()
        reply = connection.ask_rows(Op.RESET, wire.reset_frames(seeds, mask, others), check)
        self._seeded |= mask
        self._observations, _, _, _, infos = self._rows.read(connection, reply, mask)
        return self._observations, infos

    def step(self, actions: Any) -> Stepped:
        """Step every environment."""
        self.step_async(actions)
        return self.step_wait()

    def step_async(self, actions: Any) -> None:
        """Begin to step every environment; `step_wait` gives what comes of it."""
        connection, space = self._idle(), self.single_action_space
        shape = (self.num_envs, *(space.shape or ()))
        on_card = connection.put_actions(actions, shape, np.dtype(space.dtype))
        frames = [encode_actions(actions, space, self.num_envs) if on_card is None else on_card]
        connection.submit(Op.STEP, frames, check=self._rows.check(self.num_envs))
        self._steps.append(None)

    def step_wait(self) -> Stepped:
        """Give what the step came to that `step_async` began."""
        if not self._steps or self._steps[0] is not None:
            raise gymnasium.error.NoAsyncCallError("step_wait without a step: call step_async first", "step")
        self._steps.popleft()
        connection = self._connected()
        stepped = self._rows.read(connection, connection.collect())
        self._observations = stepped[0]
        return stepped

    def send(self, actions: Any, env_id: Any = None) -> None:
        """Begin to step the environments numbered `env_id`, or all; `recv` gives what comes of it.

        As with EnvPool, `actions` has one action for each of them. Two groups may be under way at a time, so
        that a policy looks at one while the other is stepped; an environment is in one of them at most.
        """
        connection = self._connected()
        ids = np.arange(self.num_envs) if env_id is None else np.asarray(env_id)
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or not len(ids):
            raise WorldstepError(
                f"env_id is {ids.dtype} of shape {ids.shape}, expected numbers of environments"
            )
        if ids.min() < 0 or ids.max() >= self.num_envs or len(np.unique(ids)) < len(ids):
            raise WorldstepError(f"env_id is {ids}, expected different numbers from 0 to {self.num_envs - 1}")
        if len(self._steps) >= IN_FLIGHT_MAX or any(under_way is None for under_way in self._steps):
            raise gymnasium.error.AlreadyPendingCallError(
                f"{len(self._steps)} steps are under way: call recv or step_wait first", "step"
            )
        if any(under_way is not None and np.isin(ids, under_way).any() for under_way in self._steps):
            raise gymnasium.error.AlreadyPendingCallError("an environment of env_id is being stepped", "step")
        order = np.argsort(ids)
        mask = np.zeros(self.num_envs, np.uint8)
        mask[ids] = 1
        space = self.single_action_space
        shape = (len(ids), *(space.shape or ()))
        frame = connection.put_actions(actions, shape, np.dtype(space.dtype), ids)
        if frame is None:
            given = np.frombuffer(encode_actions(actions, space, len(ids)), np.uint8).reshape(len(ids), -1)
            encoded = np.zeros((self.num_envs, given.shape[1]), np.uint8)
            encoded[:] = np.frombuffer(self._neutral_action, np.uint8)
            encoded[ids] = given
            frame = encoded.tobytes()
        connection.submit(Op.STEP, [frame, mask.tobytes()], check=self._rows.check(len(ids)))
        self._steps.append(ids[order])

    def recv(self) -> Stepped:
        """Give what the oldest `send` came to: rows in the order of `infos["env_id"]`, which is ascending."""
        if not self._steps or self._steps[0] is None:
            raise gymnasium.error.NoAsyncCallError("recv without a step: call send first", "step")
        ids = self._steps.popleft()
        connection = self._connected()
        stepped = self._rows.read(connection, connection.collect())
        observations, rewards, terminated, truncated, infos = stepped
        if self.render_mode is not None:
            # What was given to the caller is the caller's.
            shown = np.array(self._observations)
            shown[ids] = observations
            self._observations = shown
        return observations, rewards, terminated, truncated, infos | {"env_id": ids}

    def render(self) -> tuple[Any, ...] | None:
        """Give the frames of the last observation."""
        return tuple(np.array(self._observations)) if self.render_mode == "rgb_array" else None

    def save_state(self) -> bytes:
        """Give everything that the future of all environments depends on."""
        lengths, blob = self._idle().ask(Op.SAVE)
        return _STATE_MAGIC + lengths + blob

    def load_state(self, state: bytes) -> np.ndarray:
        """Put all environments back into a saved state, or none of them; return their observations."""
        lengths_end = len(_STATE_MAGIC) + 8 * self.num_envs
        if not state.startswith(_STATE_MAGIC) or len(state) < lengths_end:
            raise InvalidState(f"not a saved state of {self.num_envs} Worldstep environments")
        frames = [state[len(_STATE_MAGIC) : lengths_end], state[lengths_end:]]
        wire.states_from_frames(frames)
        connection, check = self._idle(), self._rows.check(self.num_envs)
        connection.finish_reading()
        self._observations = self._rows.read(connection, connection.ask_rows(Op.LOAD, frames, check))[0]
        self._seeded[:] = True
        return self._observations

    def metrics(self) -> dict[str, float]:
        """Counters, waits and batch sizes of the server since it started."""
        return wire.unpack(self._idle().ask(Op.METRICS))

    def close_extras(self, **kwargs: Any) -> None:
        """End the session, and the private server with its last session."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.forget(CLOSE_TIMEOUT_S)
                if connection.card is not None:
                    # It goes with the last array: this one is ours.
                    self._observations = np.zeros(0, self.observation_space.dtype)
                    connection.leave_card()
                connection.ask(Op.CLOSE, timeout_s=CLOSE_TIMEOUT_S)
            except WorldstepError:
                # The server has gone, and the session with it.
                pass
            finally:
                connection.disconnect()
        server, self._server = self._server, None
        if server is not None:
            private_server.release(server)

    def _find_card(self, device: str) -> Card | None:
        try:
            return find_card(device)
        except OSError as error:
            _warn_of_host_memory(str(error))
            return None

    def _start_server(self, model: str | None, robot: str | None, device: str) -> bool:
        """Start a private server that dreams on `device`; tell whether it does, and not on the processor."""
        try:
            self._server = private_server.acquire(model, robot, device)
        except ServerNotFound as error:
            if device == "cpu":
                raise
            _warn_of_host_memory(str(error))
            self._server = private_server.acquire(model, robot)
            return False
        return True

    def _open(
        self, address: str | None, request: dict[str, Any], share_memory: bool, card: Card | None
    ) -> Any:
        server = self._server
        check_alive = server.check_alive if server else None
        address = server.address if server else address
        self._connection = Connection(str(address), TIMEOUT_S, check_alive, self._keys)
        self._connection.hello()
        described = self._connection.open(request, share_memory=share_memory, card=card)
        if self._connection.card_refused:
            _warn_of_host_memory(self._connection.card_refused)
        return described

    def _connected(self) -> Connection:
        if self._connection is None:
            raise gymnasium.error.ClosedEnvironmentError("the environment is closed: make a new one")
        return self._connection

    def _idle(self) -> Connection:
        """Give the connection if no step is under way."""
        connection = self._connected()
        if self._steps:
            raise gymnasium.error.AlreadyPendingCallError(
                f"{len(self._steps)} steps are under way: call recv or step_wait first", "step"
            )
        return connection

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


def _warn_of_host_memory(why: str) -> None:
    warnings.warn(f"observations stay in host memory: {why}", HostMemoryWarning, stacklevel=5)


def make_vec(
    id: str,
    num_envs: int = 1,
    *,
    engine: Engine = "truth",
    obs: Obs | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    temperature: float | None = None,
    randomisation: Randomisation | None = None,
    robot: robots.Settings | None = None,
    address: str | None = None,
    server_key: str | None = None,
    client_key: str | None = None,
    model: str | None = None,
    render_mode: str | None = None,
    copy: bool = True,
    share_memory: bool = True,
    device: str = "cpu",
) -> WorldstepVectorEnv:
    """Make `num_envs` environments of the task `id`.

    `engine` is "truth" (physics) or "dream" (a learned world model, from the folder `model` or the server's
    own); `obs` is "state" or "rgb", by default state for truth and rgb for dream; of truth also "depth"
    (metres along the camera's axis), of a dream also "codes" and "latent". Without an `address` a private
    server is started, shared by this process, and ended with its last environment or the process.

    A dream is shown the first four frames of truth's episode with the same seed, so that it can tell
    velocities: three neutral actions are spent on them, and its reset observation is truth's frame 3, not 0.
    It draws the likeliest next frame, or with a `temperature` above 0 one of the likely ones. Its "codes" are
    what its frames are made of (8x8 numbers below 1,000 in 128 bytes), its "latent" what its dynamics makes
    of the frames so far (features), its "state" where it believes its tracked objects to be (position in m
    and velocity in m/s of each, not the task's table); none of them costs pixels. Its infos hold
    `uncertainty`, the mean entropy of the codes just dreamt, in nats; only truth knows `success` and the
    terms of the reward.

    `randomisation` holds ranges that truth draws the physics of each episode from: `{"mass": (0.8, 1.2)}`.
    Factors on `mass`, `inertia`, `friction`, `gravity`, `motor_gain` and `joint_damping`, `restitution` that
    is added, `latency` (control steps by which actions come late), `sensor_noise` (standard deviation, on
    states), and `difficulty`, one number from 0 to 1: how much of the ranges of its starts and goals the task
    uses.

    `id` may be a robot's file (`.urdf`, `.xml`, `.mjcf`): its actuators' controls are the actions, its joints
    (and its base, if that is free) the state; the reward is 0, and yours to define in a wrapper. `robot` then
    says how it is driven and started: `control` ("file", "force", "position" or "velocity"), `stiffness` and
    `damping` of servos, `fps` (50), `substeps` (1), `solver_iterations` (4) in each of these,
    `max_episode_steps` (1000), `noise` of the start, `ground`, `self_contacts`, and `sensors`, some of "imu",
    "contacts" and "range", which are observed behind the joints. A sensor may be a table with that as its
    `kind`: `{"kind": "range", "link": "head", "origin": (0, 0, 0.1), "rays": 16, "view": 3.1, "range_max":
    10.0, "noise": 0.02, "latency": 1}`.

    With `copy=False`, observations are read-only views of what the server wrote: no byte is copied, and those
    in shared memory are overwritten by the third reset or step after their own. `share_memory=False` takes
    them by the socket on the server's machine, too.

    With `device="cuda:0"`, a dream's frames stay on the card that the policy runs on: observations are a
    `DeviceArray`, which `torch.from_dlpack` and `jax.dlpack.from_dlpack` take without a copy, and which is
    overwritten by the third reset or step after its own. Actions may be on the same card, too. Where
    that cannot be, a `HostMemoryWarning` says why and what would make it work, and observations are NumPy
    arrays.
    """
    return WorldstepVectorEnv(
        id,
        num_envs,
        engine=engine,
        obs=obs,
        autoreset_mode=autoreset_mode,
        temperature=temperature,
        randomisation=randomisation,
        robot=robot,
        address=address,
        server_key=server_key,
        client_key=client_key,
        model=model,
        render_mode=render_mode,
        copy=copy,
        share_memory=share_memory,
        device=device,
    )
