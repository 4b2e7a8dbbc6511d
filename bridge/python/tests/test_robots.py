"""Robots' files as tasks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import worldstep

ROOT = Path(__file__).resolve().parents[3]
POINTER = str(ROOT / "bridge" / "python" / "examples" / "pointer.urdf")
ANT = str(ROOT / "env" / "src" / "tasks" / "robots" / "ant.xml")
# The file lists eight hinges, and the torso is free.
ANT_STATE = 13 + 2 * 8


def test_the_example_points() -> None:
    script = ROOT / "bridge" / "python" / "examples" / "own_robot.py"
    told = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    controller, chance = (float(line.split()[1]) for line in told.splitlines())
    assert controller >= 90 > 20 > chance, told


@pytest.mark.parametrize("obs", ["state", "rgb"])
@pytest.mark.filterwarnings("ignore:.*Box observation space.*", "ignore:.*Box action space.*")
def test_gymnasium_checks_it(obs: str) -> None:
    env = worldstep.make(POINTER, obs=obs, robot={"control": "force", "noise": 0.1})
    check_env(env, skip_render_check=True)
    env.close()


def test_urdf_servos_hold_what_they_are_told() -> None:
    settings = {"control": "position", "stiffness": 400.0, "damping": 40.0, "fps": 100}
    envs = worldstep.make_vec(POINTER, 3, robot=settings)
    assert envs.metadata["render_fps"] == 100
    assert envs.single_action_space == gymnasium.spaces.Box(-2.5, 2.5, (2,), np.float32)
    envs.reset(seed=0)
    wanted = np.float32([[0.5, -0.5], [-1.0, 1.0], [0.0, 2.0]])
    for _ in range(200):
        observations, rewards, *_ = envs.step(wanted)
    assert np.abs(observations[:, :2] - wanted).max() < 0.05
    assert not rewards.any()
    envs.close()


def test_mjcf_as_its_file_says_with_random_physics_and_saved_states() -> None:
    envs = worldstep.make_vec(ANT, 2, randomisation={"mass": (0.8, 1.2)}, robot={"noise": 0.05})
    assert envs.single_observation_space.shape == (ANT_STATE,)
    first, _ = envs.reset(seed=3)
    assert (first[0] != first[1]).any()
    state = envs.save_state()
    action = envs.action_space.sample()
    after = envs.step(action)[0]
    envs.load_state(state)
    np.testing.assert_array_equal(envs.step(action)[0], after)
    envs.close()


def test_sensors_are_observed_behind_the_joints() -> None:
    settings = {"sensors": ["imu", "contacts"], "substeps": 2}
    env = worldstep.make(ANT, robot=settings)
    env.reset(seed=0)
    for _ in range(200):
        observation, *_ = env.step(np.zeros(8, np.float32))
    imu, contacts = observation[ANT_STATE : ANT_STATE + 6], observation[ANT_STATE + 6 :]
    # At rest: no turning, gravity's reaction, and the ground carries some links.
    assert np.linalg.norm(imu[:3]) < 0.5
    assert abs(np.linalg.norm(imu[3:]) - 9.81) < 0.5
    assert contacts.min() >= 0.0 < contacts.max()
    env.close()


def test_sensors_have_a_place_noise_and_latency() -> None:
    scan = {"kind": "range", "link": "torso", "rays": 8, "range_max": 5.0, "noise": 0.1, "latency": 2}
    env = worldstep.make(ANT, robot={"sensors": [scan, "imu"]})
    first, _ = env.reset(seed=0)
    assert first.shape == (ANT_STATE + 8 + 6,)
    seen = [env.step(np.zeros(8, np.float32))[0][ANT_STATE : ANT_STATE + 8] for _ in range(20)]
    # Level ground: nothing is in sight, and what lies beyond the range is told as the range, but for noise.
    assert np.max(seen) == 5.0 and 4.0 < np.min(seen) < 5.0
    np.testing.assert_array_equal(seen[0], first[ANT_STATE : ANT_STATE + 8])
    env.close()
    with pytest.raises(worldstep.WorldstepError, match='no link "head" for a sensor, expected one of'):
        worldstep.make(ANT, robot={"sensors": [{"kind": "imu", "link": "head"}]})


def test_episodes_are_as_long_as_they_are_to_be() -> None:
    env = worldstep.make(POINTER, robot={"max_episode_steps": 4})
    env.reset(seed=0)
    flags = [env.step(env.action_space.sample())[3] for _ in range(4)]
    assert flags == [False, False, False, True]
    env.close()


def test_a_server_that_serves_robots(tmp_path: Path) -> None:
    described = tmp_path / "strong.toml"
    described.write_text(f'file = "{POINTER}"\ncontrol = "velocity"\ndamping = 20.0\n')
    command = [worldstep.private_server.find_binary(), "serve", "--bind", "tcp://127.0.0.1:0", "--json"]
    command += ["--exit-with-stdin", "--robot", str(described), "--robot", ANT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        address = json.loads(server.stdout.readline())["address"]
        for name, actions in (("robot/pointer", 2), ("robot/ant", 8)):
            env = worldstep.make(name, address=address)
            env.reset(seed=0)
            assert env.action_space.shape == (actions,)
            env.step(env.action_space.sample())
            env.close()
        server.stdin.close()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"id": "nowhere.urdf"}, worldstep.WorldstepError, "nowhere.urdf is not there"),
        ({"id": "CartPole-v0", "robot": {}}, worldstep.WorldstepError, "robots' files"),
        (
            {"id": POINTER, "robot": {"control": "thought"}},
            worldstep.ServerNotFound,
            "thought.*velocity",
        ),
        ({"id": POINTER, "robot": {"colour": 1.0}}, worldstep.ServerNotFound, "colour"),
        ({"id": POINTER, "robot": {"stiffness": -1.0}}, worldstep.ServerNotFound, "stiffness is -1"),
        ({"id": POINTER, "address": "tcp://127.0.0.1:9"}, worldstep.Unsupported, "--robot"),
        ({"id": POINTER, "engine": "dream"}, worldstep.Unsupported, "pointer"),
    ],
)
def test_what_makes_no_robot_is_told(arguments: dict, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        worldstep.make_vec(**arguments)


def test_a_file_that_is_no_robot(tmp_path: Path) -> None:
    file = tmp_path / "table.urdf"
    file.write_text("<table/>")
    with pytest.raises(worldstep.ServerNotFound, match=r"table.urdf.*<table>.*<robot>"):
        worldstep.make_vec(str(file))
