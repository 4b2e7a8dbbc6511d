"""Makes `gymnasium.make("worldstep/PushCube-v0")` work."""

from __future__ import annotations

import gymnasium

TASKS = ("CartPole-v0", "CatchBehindScreen-v0", "PushCube-v0")
"""Ids of the tasks that every server knows."""


def register() -> None:
    """Register every task with Gymnasium, once."""
    for id in TASKS:
        name = f"worldstep/{id}"
        if name not in gymnasium.registry:
            gymnasium.register(
                id=name,
                entry_point="worldstep.single_env:SingleEnv",
                vector_entry_point="worldstep.vector_env:WorldstepVectorEnv",
                kwargs={"id": id},
            )
