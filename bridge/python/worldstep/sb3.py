"""Worldstep's environments as a `VecEnv` of Stable-Baselines3 (`pip install stable-baselines3`).

>>> from stable_baselines3 import PPO
>>> from worldstep.sb3 import make_sb3
>>> model = PPO("MlpPolicy", make_sb3("CartPole-v0", 64)).learn(1_000_000)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from worldstep.autoreset import AutoresetMode
from worldstep.errors import Unsupported, WorldstepError
from worldstep.vector_env import WorldstepVectorEnv, make_vec


class WorldstepVecEnv(VecEnv):
    """A `WorldstepVectorEnv` the way Stable-Baselines3 steps environments.

    An environment that ends starts its next episode in the same step: its observation is the first of the new
    episode, and its info has `terminal_observation`, the last one of the old, and `TimeLimit.truncated`.
    """

    metadata: dict[str, Any]

    def __init__(self, envs: WorldstepVectorEnv) -> None:
        """Wrap `envs`, which must leave resets to their caller (DISABLED autoreset)."""
        if envs.metadata["autoreset_mode"] is not AutoresetMode.DISABLED:
            raise Unsupported("environments for Stable-Baselines3 need autoreset_mode=AutoresetMode.DISABLED")
        self.envs = envs
        self._actions: np.ndarray | None = None
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)
        self.metadata = {**envs.metadata, **self.metadata}

    def reset(self) -> np.ndarray:
        """Start an episode in every environment, with the seeds of `seed` if that was called."""
        self._actions = None
        # One of no seed is drawn by the environments themselves.
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        observations, infos = self.envs.reset(seed=seeds)
        self.reset_infos = self._infos(infos)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions of the step that `step_wait` is to make."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Make the step."""
        actions, self._actions = self._actions, None
        if actions is None:
            raise WorldstepError("step_wait without actions: call step_async first")
        observations, rewards, terminated, truncated, batched = self.envs.step(actions)
        infos = self._infos(batched)
        done = terminated | truncated
        if done.any():
            last = observations
            observations, fresh = self.envs.reset(options={"reset_mask": done})
            starts = self._infos(fresh)
            for i in np.flatnonzero(done):
                infos[i]["terminal_observation"] = last[i]
                self.reset_infos[i] = starts[i]
        for info, cut, ended in zip(infos, truncated, terminated, strict=True):
            info["TimeLimit.truncated"] = bool(cut and not ended)
        return observations, rewards.astype(np.float32), done, infos

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Give the frames of the last observation, of environments made with `render_mode="rgb_array"`."""
        return self.envs.render() or [None] * self.num_envs

    def close(self) -> None:
        """End the session."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Give an attribute, which all environments share."""
        return [getattr(self.envs, attr_name)] * len(self._indices(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: the environments are another process's."""
        raise Unsupported(f"cannot set {attr_name!r}: the environments are stepped by a server")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Refuse: the environments are another process's."""
        raise Unsupported(f"cannot call {method_name!r}: the environments are stepped by a server")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Tell that no environment has a wrapper of its own."""
        return [False] * len(self._indices(indices))

    def _indices(self, indices: Any) -> Sequence[int]:
        return list(self._get_indices(indices))

    def _infos(self, batched: dict[str, Any]) -> list[dict[str, Any]]:
        """Gymnasium's infos, a value and a mask for each key, as one dictionary an environment."""
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for name, values in batched.items():
            for i in np.flatnonzero(batched.get(f"_{name}", ())):
                infos[i][name] = values[i].item()
        return infos


def make_sb3(id: str, num_envs: int = 1, **options: Any) -> WorldstepVecEnv:
    """Make `num_envs` environments of the task `id`; the other options are those of `make_vec`."""
    return WorldstepVecEnv(make_vec(id, num_envs, autoreset_mode=AutoresetMode.DISABLED, **options))
