"""A robot of one's own as a task: its file says how it moves, this says what it is to do.

    python bridge/python/examples/own_robot.py

`docs/write-a-task.md` goes through it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import worldstep

ROBOT = Path(__file__).with_name("pointer.urdf")
"""Two links, 0.5 m and 0.4 m long, on a stand of 0.6 m."""
UPPER, LOWER, STAND = 0.5, 0.4, 0.6
NEAR = 0.05
"""How far the tip may be from its target, metres."""


class PointAt(gymnasium.vector.VectorWrapper):
    """The tip is to be at a target: reward is minus its distance, and 1 more where it is near enough.

    The observation is the robot's (angles of shoulder and elbow, their speeds) and the target's x and z.
    """

    def __init__(self, envs: worldstep.WorldstepVectorEnv) -> None:
        super().__init__(envs)
        self.rng = np.random.default_rng(0)
        self.target = np.zeros((envs.num_envs, 2), dtype=np.float32)
        low, high = envs.single_observation_space.low, envs.single_observation_space.high
        self.single_observation_space = gymnasium.spaces.Box(
            np.append(low, [-1, 0]).astype(np.float32), np.append(high, [1, 2]).astype(np.float32)
        )
        self.observation_space = gymnasium.vector.utils.batch_space(
            self.single_observation_space, envs.num_envs
        )
        # An environment that has ended starts anew in the next step.
        self.ended = np.zeros(envs.num_envs, dtype=bool)

    def reset(  # noqa: D102 (Gymnasium's)
        self, *, seed: Any = None, options: Any = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        observations, infos = self.env.reset(seed=seed, options=options)
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, dtype=bool))
        self.draw_targets(mask)
        self.ended &= ~mask
        return self.seen(observations), infos

    def step(  # noqa: D102 (Gymnasium's)
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        observations, _, terminated, truncated, infos = self.env.step(actions)
        distance = np.linalg.norm(self.tip(observations) - self.target, axis=1)
        # One that had ended has only begun anew.
        rewards = np.where(self.ended, 0.0, (distance < NEAR) - distance)
        self.draw_targets(self.ended)
        self.ended = terminated | truncated
        return self.seen(observations), rewards, terminated, truncated, infos

    def draw_targets(self, mask: np.ndarray) -> None:
        """Give these environments a target that the arm reaches."""
        self.target[mask] = self.tip(self.rng.uniform(-1.2, 1.2, (self.num_envs, 2)))[mask]

    def seen(self, observations: np.ndarray) -> np.ndarray:
        """Give observations with the targets behind them."""
        return np.concatenate([observations, self.target], axis=1)

    @staticmethod
    def tip(angles: np.ndarray) -> np.ndarray:
        """Give x and z of the tip."""
        shoulder, both = angles[:, 0], angles[:, 0] + angles[:, 1]
        x = UPPER * np.sin(shoulder) + LOWER * np.sin(both)
        return np.stack([x, STAND + UPPER * np.cos(shoulder) + LOWER * np.cos(both)], axis=1)


def solve(target: np.ndarray) -> np.ndarray:
    """Angles of shoulder and elbow that put the tip there, the elbow bent forward."""
    x, z = target[:, 0], target[:, 1] - STAND
    bend = (x**2 + z**2 - UPPER**2 - LOWER**2) / (2 * UPPER * LOWER)
    elbow = np.arccos(np.clip(bend, -1, 1))
    shoulder = np.arctan2(x, z) - np.arctan2(LOWER * np.sin(elbow), UPPER + LOWER * np.cos(elbow))
    return np.stack([shoulder, elbow], axis=1).astype(np.float32)


def main() -> None:
    """Compare a controller with chance."""
    settings = {"control": "position", "stiffness": 400.0, "damping": 40.0, "max_episode_steps": 100}
    envs = PointAt(worldstep.make_vec(str(ROBOT), 16, robot=settings))
    for name in ("controller", "chance"):
        observations, _ = envs.reset(seed=1)
        near = 0.0
        for _ in range(99):
            actions = solve(observations[:, -2:]) if name == "controller" else envs.action_space.sample()
            observations, *_ = envs.step(actions)
            near = float(np.mean(np.linalg.norm(envs.tip(observations) - envs.target, axis=1) < NEAR))
        print(f"{name}: {100 * near:.0f} % of the tips are at their target")
    envs.close()


if __name__ == "__main__":
    main()
