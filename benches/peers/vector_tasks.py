"""Steps vector environments of Gymnasium and EnvPool with random actions; asked one JSON object a line."""

import json
import sys
import time

import envpool
import gymnasium
import mujoco
import numpy as np
from gymnasium.vector import AsyncVectorEnv

# Simulated seconds of one step, of tasks that do not say.
STEP_S = {"CartPole-v1": 0.02, "Pendulum-v1": 0.05, "Acrobot-v1": 0.2}


def step_s(task):
    """Simulated seconds of one step."""
    if task in STEP_S:
        return STEP_S[task]
    env = gymnasium.make(task)
    found = env.unwrapped.dt
    env.close()
    return found


def measure(asked):
    """Make the environments, step them for a while, close them."""
    task, count = asked["task"], asked["envs"]
    single = gymnasium.make(task)
    single.action_space.seed(0)
    if asked["what"] == "async":
        envs = AsyncVectorEnv([lambda: gymnasium.make(task)] * count)
        envs.reset(seed=0)
    else:
        envs = envpool.make(task, env_type="gymnasium", num_envs=count, seed=0)
        envs.reset()
    kind = np.int32 if isinstance(single.action_space, gymnasium.spaces.Discrete) else np.float32
    scripts = [np.array([single.action_space.sample() for _ in range(count)], kind) for _ in range(16)]
    single.close()
    for actions in scripts[:3]:
        envs.step(actions)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < asked["seconds"]:
        envs.step(scripts[steps // count % len(scripts)])
        steps += count
    found = steps / (time.perf_counter() - start)
    envs.close()
    return {"env_steps_per_s": found, "step_s": step_s(task)}


def main():
    """Answer until standard input ends."""
    versions = {
        "async": f"gymnasium {gymnasium.__version__} AsyncVectorEnv, mujoco {mujoco.__version__}",
        "envpool": f"envpool {envpool.__version__}",
    }
    for line in sys.stdin:
        asked = json.loads(line)
        answer = versions if asked["what"] == "versions" else measure(asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
