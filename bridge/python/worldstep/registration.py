"""Makes `gymnasium.make("worldstep/PushCube-v0")` work."""

from __future__ import annotations

import gymnasium

TASKS = (
    "CartPole-v0",
    "CatchBehindScreen-v0",
    "PushCube-v0",
    "CartPoleSwingUp-v0",
    "Pendulum-v0",
    "DoublePendulum-v0",
    "Acrobot-v0",
    "Reacher-v0",
    "Hopper-v0",
    "Walker-v0",
    "HalfCheetah-v0",
    "Ant-v0",
    "Navigate-v0",
    "QuadrotorHover-v0",
    "QuadrotorWaypoint-v0",
    "ShellGame-v0",
    "Billiards-v0",
    "CarryTower-v0",
    "Pour-v0",
    "ArmReach-v0",
    "ArmPush-v0",
    "ArmPick-v0",
    "ArmPlace-v0",
    "ArmStack-v0",
    "PegInHole-v0",
    "OpenDrawer-v0",
    "TurnKnob-v0",
    "QuadrupedFlat-v0",
    "QuadrupedRough-v0",
    "HumanoidStand-v0",
    "HumanoidWalk-v0",
)
"""Ids of the tasks that every server knows."""

DREAMS = TASKS[:3]
"""Ids of the tasks that weights are shipped for: what `engine="dream"` steps with no model named."""


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
