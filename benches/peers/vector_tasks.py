"""Steps vector environments of Gymnasium, EnvPool and Worldstep's client with random actions; asked one JSON object a line."""

import json
import sys
import time

import envpool
import gymnasium
import mujoco
import numpy as np
import worldstep
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

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


def robot(task):
    """The file of a MuJoCo task's robot, and its physics steps in a control step; no file for the others."""
    if task in STEP_S:
        return {"file": None}
    env = gymnasium.make(task)
    found = {"file": env.unwrapped.fullpath, "substeps": env.unwrapped.frame_skip, "step_s": env.unwrapped.dt}
    env.close()
    return found


def make(what, task, count):
    """Vector environments that have been reset, and the space of one action."""
    if what == "client":
        envs = worldstep.make_vec(task, count)
        envs.reset(seed=0)
        return envs, envs.single_action_space
    if what == "envpool":
        envs = envpool.make(task, env_type="gymnasium", num_envs=count, seed=0)
        envs.reset()
        return envs, envs.action_space
    kind = {"async": AsyncVectorEnv, "sync": SyncVectorEnv}[what]
    envs = kind([lambda: gymnasium.make(task)] * count)
    envs.reset(seed=0)
    return envs, envs.single_action_space


def measure(asked):
    """Make the environments, step them for a while, close them."""
    what, task, count = asked["what"], asked["task"], asked["envs"]
    envs, space = make(what, task, count)
    space.seed(0)
    kind = np.int32 if isinstance(space, gymnasium.spaces.Discrete) else np.float32
    scripts = [np.array([space.sample() for _ in range(count)], kind) for _ in range(16)]
    for actions in scripts[:3]:
        envs.step(actions)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < asked["seconds"]:
        envs.step(scripts[steps // count % len(scripts)])
        steps += count
    found = steps / (time.perf_counter() - start)
    envs.close()
    return {"env_steps_per_s": found}


def main():
    """Answer until standard input ends."""
    gym = f"gymnasium {gymnasium.__version__}"
    versions = {
        "async": f"{gym} AsyncVectorEnv, mujoco {mujoco.__version__}",
        "sync": f"{gym} SyncVectorEnv, mujoco {mujoco.__version__}",
        "envpool": f"envpool {envpool.__version__}",
    }
    for line in sys.stdin:
        asked = json.loads(line)
        match asked["what"]:
            case "versions":
                answer = versions
            case "step":
                answer = {"step_s": step_s(asked["task"])}
            case "robot":
                answer = robot(asked["task"])
            case _:
                answer = measure(asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
