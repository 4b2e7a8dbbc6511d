"""Steps that land in tensors which are allocated once (needs PyTorch).

Without this module nothing has to be copied either: the arrays that `reset` and `step` give are owned by
the caller, writable, aligned and contiguous, so `torch.from_numpy` shares their memory. What it adds are
tensors that keep their address: page-locked ones, from which a copy to a GPU runs at full speed and beside
other work, or shared ones, which other processes of `torch.multiprocessing` read in place.

>>> from worldstep.torch import TensorVectorEnv
>>> envs = TensorVectorEnv(worldstep.make_vec("CartPole-v0", 64))
>>> observations, infos = envs.reset(seed=0)
>>> observations, rewards, terminated, truncated, infos = envs.step(torch.zeros(64, 1))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from worldstep.dlpack import DeviceArray
from worldstep.errors import InvalidAction
from worldstep.vector_env import WorldstepVectorEnv

Step = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, dict[str, Any]]
"""Observations, rewards, terminated, truncated, infos."""


class TensorVectorEnv:
    """A `WorldstepVectorEnv` that gives tensors, the same ones at every step.

    | tensor         | shape                     | type                     |
    |----------------|---------------------------|--------------------------|
    | `observations` | environments, observation | that of the observations |
    | `rewards`      | environments              | float32                  |
    | `terminated`   | environments              | bool                     |
    | `truncated`    | environments              | bool                     |

    They are page-locked where there is CUDA, else in shared memory; observations that stay on a card
    (`device="cuda:0"`) are copied there. Each `reset` and `step` writes over
    them: keep what has to last with `.clone()`, or by the copy to a GPU. Such a copy may be `non_blocking`,
    if it has ended before the next `step`; it has when that step's actions were computed from it.
    """

    def __init__(self, envs: WorldstepVectorEnv) -> None:
        """Allocate the tensors for `envs`, which `close` closes."""
        self.envs = envs
        self.num_envs = envs.num_envs
        space = envs.observation_space
        dtype = torch.from_numpy(np.empty(0, space.dtype)).dtype
        if envs.device.startswith("cuda"):
            self.observations = torch.zeros(space.shape or (), dtype=dtype, device=envs.device)
        else:
            self.observations = _allocate(space.shape or (), dtype)
        self.rewards = _allocate((envs.num_envs,), torch.float32)
        self.terminated = _allocate((envs.num_envs,), torch.bool)
        self.truncated = _allocate((envs.num_envs,), torch.bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Start episodes, as `WorldstepVectorEnv.reset` does; `reset_mask` may be a tensor."""
        mask = (options or {}).get("reset_mask")
        if isinstance(mask, torch.Tensor):
            options = {**(options or {}), "reset_mask": mask.cpu().numpy()}
        observations, infos = self.envs.reset(seed=seed, options=options)
        self.observations.copy_(_as_tensor(observations))
        return self.observations, infos

    def step(self, actions: torch.Tensor) -> Step:
        """Step every environment; actions may lie on any device."""
        if not isinstance(actions, torch.Tensor):
            raise InvalidAction(f"actions are {type(actions).__name__}, expected a tensor")
        given = actions.detach()
        is_on_card = self.envs.device.startswith("cuda")
        if is_on_card and given.is_cuda:
            results = self.envs.step(given.to(self.envs.device).contiguous())
        else:
            if is_on_card:
                # No actions there tell when the last observations have been read.
                torch.cuda.current_stream(self.envs.device).synchronize()
            results = self.envs.step(given.cpu().numpy())
        tensors = (self.observations, self.rewards, self.terminated, self.truncated)
        for tensor, result in zip(tensors, results, strict=False):
            tensor.copy_(_as_tensor(result))
        return *tensors, results[4]

    def close(self) -> None:
        """End the session."""
        self.envs.close()


def _as_tensor(array: Any) -> torch.Tensor:
    """A tensor of the same memory."""
    return torch.from_dlpack(array) if isinstance(array, DeviceArray) else torch.from_numpy(array)


def _allocate(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """A tensor of zeros that other devices, or other processes, get at without a copy in between."""
    if torch.cuda.is_available():
        return torch.zeros(shape, dtype=dtype, pin_memory=True)
    tensor = torch.zeros(shape, dtype=dtype)
    tensor.share_memory_()
    return tensor
