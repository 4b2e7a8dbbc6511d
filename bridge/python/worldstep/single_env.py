"""The single-environment form: a `gymnasium.Env` on a vector of one."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np

from worldstep.arguments import Engine, Obs
from worldstep.autoreset import AutoresetMode
from worldstep.errors import InvalidAction
from worldstep.randomisation import Randomisation
from worldstep.registration import TASKS
from worldstep.robots import Settings
from worldstep.vector_env import WorldstepVectorEnv


class SingleEnv(gymnasium.Env[np.ndarray, Any]):
    """One environment that a Worldstep server steps."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (Gymnasium's)

    def __init__(
        self,
        id: str,
        *,
        engine: Engine = "truth",
        obs: Obs | None = None,
        temperature: float | None = None,
        randomisation: Randomisation | None = None,
        robot: Settings | None = None,
        address: str | None = None,
        server_key: str | None = None,
        client_key: str | None = None,
        model: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Open a session; see `make`."""
        self._envs = WorldstepVectorEnv(
            id,
            engine=engine,
            obs=obs,
            autoreset_mode=AutoresetMode.DISABLED,
            temperature=temperature,
            randomisation=randomisation,
            robot=robot,
            address=address,
            server_key=server_key,
            client_key=client_key,
            model=model,
            render_mode=render_mode,
        )
        self.observation_space = self._envs.single_observation_space
        self.action_space = self._envs.single_action_space
        self.render_mode = render_mode
        self.metadata = {k: v for k, v in self._envs.metadata.items() if k != "autoreset_mode"}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        observations, infos = self._envs.reset(seed=seed, options=options)
        return observations[0], _first(infos)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Apply one action."""
        try:
            actions = np.asarray(action)[np.newaxis]
        except ValueError as error:
            raise InvalidAction(f"the action is no array: {error}") from error
        observations, rewards, terminated, truncated, infos = self._envs.step(actions)
        flags = bool(terminated[0]), bool(truncated[0])
        return observations[0], float(rewards[0]), *flags, _first(infos)

    def render(self) -> Any:
        """Give the last frame."""
        frames = self._envs.render()
        return None if frames is None else frames[0]

    def save_state(self) -> bytes:
        """Give everything that the future of the environment depends on."""
        return self._envs.save_state()

    def load_state(self, state: bytes) -> np.ndarray:
        """Put the environment back into a saved state; return its observation."""
        observation: np.ndarray = self._envs.load_state(state)[0]
        return observation

    def metrics(self) -> dict[str, float]:
        """Counters, waits and batch sizes of the server since it started."""
        return self._envs.metrics()

    def close(self) -> None:
        """End the session."""
        self._envs.close()


def _first(infos: dict[str, Any]) -> dict[str, Any]:
    """Infos of the first environment of a vector."""
    return {name: infos[name][0].item() for name in infos if infos.get(f"_{name}", [False])[0]}


def make(
    id: str,
    *,
    engine: Engine = "truth",
    obs: Obs | None = None,
    temperature: float | None = None,
    randomisation: Randomisation | None = None,
    robot: Settings | None = None,
    address: str | None = None,
    server_key: str | None = None,
    client_key: str | None = None,
    model: str | None = None,
    render_mode: str | None = None,
) -> SingleEnv:
    """Make one environment of the task `id`; the arguments are those of `make_vec`.

    As there, a dream's reset observation is truth's frame 3 of the same seed; its infos hold no `success`.

    `gymnasium.make("worldstep/PushCube-v0", ...)` makes the same, inside Gymnasium's usual wrappers.
    """
    arguments: dict[str, Any] = {
        "engine": engine,
        "obs": obs,
        "temperature": temperature,
        "randomisation": randomisation,
        "robot": robot,
        "address": address,
        "model": model,
    }
    arguments |= {"server_key": server_key, "client_key": client_key}
    env = SingleEnv(id, **arguments, render_mode=render_mode)
    if id in TASKS:
        env.spec = deepcopy(gymnasium.spec(f"worldstep/{id}"))
        env.spec.kwargs.update(arguments, render_mode=render_mode)
    return env
