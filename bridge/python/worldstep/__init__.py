"""Worldstep: robotics environments from physics (truth) or from a learned world model (dream).

>>> import worldstep
>>> envs = worldstep.make_vec("CatchBehindScreen-v0", num_envs=64, engine="dream")
>>> observations, infos = envs.reset(seed=0)
>>> observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
"""

from worldstep.autoreset import AutoresetMode
from worldstep.dlpack import DeviceArray
from worldstep.errors import (
    EngineError,
    HostMemoryWarning,
    InvalidAction,
    InvalidState,
    LimitExceeded,
    ProtocolError,
    ResetNeeded,
    ServerBusy,
    ServerNotFound,
    SessionLost,
    UnknownTask,
    Unsupported,
    VersionMismatch,
    WorldstepError,
)
from worldstep.registration import DREAMS, TASKS, register
from worldstep.single_env import SingleEnv, make
from worldstep.vector_env import WorldstepVectorEnv, make_vec

__all__ = [
    "DREAMS",
    "TASKS",
    "AutoresetMode",
    "DeviceArray",
    "EngineError",
    "HostMemoryWarning",
    "InvalidAction",
    "InvalidState",
    "LimitExceeded",
    "ProtocolError",
    "ResetNeeded",
    "ServerBusy",
    "ServerNotFound",
    "SessionLost",
    "SingleEnv",
    "UnknownTask",
    "Unsupported",
    "VersionMismatch",
    "WorldstepError",
    "WorldstepVectorEnv",
    "make",
    "make_vec",
]

register()
