"""Robots from MJCF beside MuJoCo itself: masses, inertias, limits, swings, falls and places of rest."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import mujoco
import numpy as np
import pytest

ROBOTS = sorted((Path(__file__).resolve().parents[3] / "env/src/tasks/robots").glob("*.xml"))
FACTS = os.environ["ROBOT_FACTS"]


def ours(file: Path, seconds: float = 0.0, **start: float) -> dict:
    """What Worldstep makes of the file."""
    settings = [f"{joint.replace('_', ' ')}={position}" for joint, position in start.items()]
    told = subprocess.run([FACTS, file, str(seconds), *settings], check=True, capture_output=True)
    return json.loads(told.stdout)


def theirs(file: Path, seconds: float, **start: float) -> tuple[mujoco.MjModel, list, list]:
    """What MuJoCo makes of it: the model, and joint positions and places of bodies every 20 ms."""
    model = mujoco.MjModel.from_xml_path(str(file))
    # As fine as Worldstep's own.
    model.opt.timestep = 1 / 800
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_RK4
    data = mujoco.MjData(model)
    for joint, position in start.items():
        data.joint(joint.replace("_", " ")).qpos = position
    mujoco.mj_forward(model, data)
    joints, places = [], []
    for _ in range(round(seconds * 50) + 1):
        # A step leaves the places of before it.
        mujoco.mj_kinematics(model, data)
        joints.append(data.qpos.copy())
        places.append(data.xpos[1:].copy())
        for _ in range(16):
            mujoco.mj_step(model, data)
    return model, joints, places


@pytest.mark.parametrize("file", ROBOTS, ids=lambda file: file.stem)
def test_masses_inertias_and_limits_are_equal(file: Path) -> None:
    facts, (model, *_) = ours(file), theirs(file, 0)
    bodies = {mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_BODY, i): i for i in range(1, model.nbody)}
    links = {link["name"]: link for link in facts["links"] if link["name"] in bodies}
    assert set(links) == set(bodies)
    total = sum(link["mass"] for link in links.values())
    assert total == pytest.approx(model.body_mass.sum(), rel=1e-4)
    for name, i in bodies.items():
        link = links[name]
        assert link["mass"] == pytest.approx(model.body_mass[i], rel=1e-4), name
        np.testing.assert_allclose(link["center"], model.body_ipos[i], atol=1e-4, err_msg=name)
        own, other = sorted(link["principal_inertia"]), sorted(model.body_inertia[i])
        np.testing.assert_allclose(own, other, rtol=0.01, atol=1e-6, err_msg=name)
    limited = {joint["name"]: joint["limits"] for joint in facts["joints"]}
    for i in range(model.njnt):
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_JOINT, i)
        if name is None or model.jnt_type[i] == mujoco.mjtJoint.mjJNT_FREE:
            continue
        if model.jnt_limited[i]:
            assert limited[name] == pytest.approx(model.jnt_range[i], abs=1e-5), name
        else:
            assert limited[name] is None, name


@pytest.mark.parametrize(
    ("robot", "start", "seconds", "tolerance"),
    [
        ("pendulum", {"pivot": 2.6}, 4.0, 0.02),
        ("acrobot", {"shoulder": 0.6, "elbow": -0.4}, 4.0, 0.03),
        ("cart_pole_swing_up", {"hinge": 2.7}, 4.0, 0.02),
    ],
)
def test_it_swings_as_in_mujoco(robot: str, start: dict, seconds: float, tolerance: float) -> None:
    file = next(path for path in ROBOTS if path.stem == robot)
    own = np.array([moment["joints"] for moment in ours(file, seconds, **start)["track"]])
    other = np.array(theirs(file, seconds, **start)[1])
    away = np.abs(own - other).max()
    print(f"{robot}: {away:.4f} rad or m apart at most in {seconds} s, swing of {np.ptp(other):.2f}")
    assert away < tolerance


FALL = """<mujoco><worldbody><body name="a" pos="0 0 3"><freejoint/>
  <geom type="box" size="0.1 0.2 0.05" mass="1"/></body></worldbody></mujoco>"""


def test_it_falls_as_in_mujoco(tmp_path: Path) -> None:
    file = tmp_path / "fall.xml"
    file.write_text(FALL)
    own = np.array([moment["places"][0] for moment in ours(file, 0.6)["track"]])
    other = np.array([places[0] for places in theirs(file, 0.6)[2]])
    print(f"{np.abs(own - other).max() * 1000:.2f} mm apart at most, {np.ptp(other[:, 2]):.3f} m of fall")
    np.testing.assert_allclose(own, other, atol=5e-3)


REST = """<mujoco><worldbody><geom type="plane" size="5 5 0.1"/>
  <body name="box" pos="0 0 0.4"><freejoint/><geom type="box" size="0.1 0.2 0.05" mass="2"/></body>
  <body name="ball" pos="1 0 0.5"><freejoint/><geom type="sphere" size="0.12" mass="1"/></body>
  <body name="log" pos="2 0 0.4"><freejoint/>
    <geom type="capsule" fromto="0 -0.3 0 0 0.3 0" size="0.08" mass="3"/></body>
</worldbody></mujoco>"""


def test_it_comes_to_rest_at_the_height_of_mujoco(tmp_path: Path) -> None:
    file = tmp_path / "rest.xml"
    file.write_text(REST)
    facts = ours(file, 3.0)
    names = [link["name"] for link in facts["links"]]
    last = dict(zip(names, facts["track"][-1]["places"], strict=True))
    places = theirs(file, 3.0)[2][-1]
    for i, name in enumerate(["box", "ball", "log"]):
        print(f"{name}: {last[name][2]:.4f} m, MuJoCo {places[i][2]:.4f} m")
        assert last[name][2] == pytest.approx(places[i][2], abs=3e-3), name


def test_the_ant_settles_at_the_height_of_mujoco(tmp_path: Path) -> None:
    text = next(path for path in ROBOTS if path.stem == "ant").read_text()
    file = tmp_path / "ant.xml"
    file.write_text(
        text.replace("<worldbody>", '<worldbody><geom type="plane" size="5 5 0.1" conaffinity="1"/>')
    )
    facts = ours(file, 3.0)
    torso = [link["name"] for link in facts["links"]].index("torso")
    own, other = facts["track"][-1]["places"][torso][2], theirs(file, 3.0)[2][-1][0][2]
    print(f"torso {own:.4f} m, MuJoCo {other:.4f} m")
    # Its legs are limp and held by friction alone, which leaves a range of heights to rest at.
    assert own == pytest.approx(other, abs=0.03)
