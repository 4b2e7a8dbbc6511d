"""Steps vector environments of Worldstep's Python client, Gymnasium and EnvPool; asked one JSON object a line."""

import json
import sys
import time

import envpool
import gymnasium
import numpy as np
import worldstep
from gymnasium.vector import AsyncVectorEnv

SPACES = {
    "state": gymnasium.spaces.Box(0, 1, (4,), np.float32),
    "rgb": gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8),
}


class Carry(gymnasium.Env):
    """Computes nothing, and shows one stored observation."""

    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, obs):
        self.observation_space = SPACES[obs]
        self.stored = self.observation_space.sample()

    def reset(self, *, seed=None, options=None):
        return self.stored, {}

    def step(self, action):
        return self.stored, 0.0, False, False, {}


def rate(envs, actions, seconds):
    """Environment steps a second of the caller's loop."""
    num_envs = len(actions)
    for _ in range(3):
        envs.step(actions)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        envs.step(actions)
        steps += num_envs
    return steps / (time.perf_counter() - start)


def measure(asked):
    """Make the environments, step them, close them."""
    what, count, obs = asked["what"], asked["envs"], asked["obs"]
    if what == "worldstep":
        envs = worldstep.make_vec(asked["task"], count, obs=obs, address=asked["address"])
    elif what == "async":
        # Environments in processes of their own, observations in shared memory: its default.
        envs = AsyncVectorEnv([lambda: Carry(obs)] * count)
    else:
        envs = envpool.make("CartPole-v1", env_type="gymnasium", num_envs=count)
    if what == "envpool":
        envs.reset()
        actions = np.zeros(count, np.int32)
    else:
        envs.reset(seed=0)
        actions = np.zeros((count, 1), np.float32)
    found = rate(envs, actions, asked["seconds"])
    envs.close()
    return {"env_steps_per_s": found}


def main():
    """Answer until standard input ends."""
    versions = {
        "async": f"gymnasium {gymnasium.__version__} AsyncVectorEnv",
        "envpool": f"envpool {envpool.__version__}",
    }
    for line in sys.stdin:
        asked = json.loads(line)
        answer = versions if asked["what"] == "versions" else measure(asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
