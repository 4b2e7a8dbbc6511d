"""The wheel is the whole installation: one file into a fresh environment, elsewhere (`make test-wheel`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The one that was built last."""
    found = sorted((ROOT / "out" / "wheels").glob("worldstep-*.whl"), key=lambda path: path.stat().st_mtime)
    assert found, "no wheel in out/wheels: run `make wheel`"
    return found[-1]


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with nothing but the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", wheel], check=True)
    return python


def run(command: list[str | Path], folder: Path) -> str:
    """Output of a command, with nothing in its environment that leads back to the repository."""
    kept = {name: value for name, value in os.environ.items() if name not in ("WORLDSTEP_BIN", "PYTHONPATH")}
    # Nor a command of somebody else's on the path.
    kept["PATH"] = "/usr/bin:/bin"
    finished = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_it_holds_client_command_and_weights(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    client = {
        path.relative_to(ROOT / "bridge/python") for path in (ROOT / "bridge/python/worldstep").glob("*.py")
    }
    assert {str(path) for path in client} <= held
    assert "worldstep/py.typed" in held
    assert any(name.endswith(".data/scripts/worldstep") for name in held)
    weights = {str(path.relative_to(ROOT)) for path in (ROOT / "models/nano").rglob("*") if path.is_file()}
    installed = {name.split("share/worldstep/", 1)[1] for name in held if "share/worldstep/" in name}
    assert {name for name in weights if not name.endswith("eval.json")} <= installed
    assert "linux_" in wheel.name and "manylinux" not in wheel.name


def test_the_doctor_finds_the_weights_that_came_along(python: Path, tmp_path: Path) -> None:
    told = json.loads(run([python.parent / "worldstep", "doctor", "--json"], tmp_path))
    findings = {finding["part"]: finding for finding in told["findings"]}
    assert findings["libzmq"]["ok"] and findings["renderer"]["ok"]
    assert findings["weights"]["ok"]
    assert str(python.parents[1].resolve() / "share/worldstep/models/nano") in findings["weights"]["detail"]


PROGRAM = """
import gymnasium, numpy as np, worldstep
from worldstep import private_server

assert not worldstep.__file__.startswith({root!r}), worldstep.__file__
print(private_server.find_binary())
for task in worldstep.TASKS:
    for engine in ("truth", "dream") if task in worldstep.DREAMS else ("truth",):
        envs = worldstep.make_vec(task, 2, engine=engine)
        first, _ = envs.reset(seed=0)
        for _ in range(5):
            observations, rewards, *_ = envs.step(envs.action_space.sample())
        assert observations in envs.observation_space and np.isfinite(rewards).all()
        assert (observations != first).any(), (task, engine)
        envs.close()
env = gymnasium.make("worldstep/CartPole-v0")
env.reset(seed=0)
env.close()
print("stepped")
"""


def test_both_engines_step_away_from_the_repository(python: Path, tmp_path: Path) -> None:
    told = run([python, "-c", PROGRAM.format(root=str(ROOT))], tmp_path).splitlines()
    assert told == [str(python.parent / "worldstep"), "stepped"]


def test_it_works_below_a_target_folder(wheel: Path, tmp_path: Path) -> None:
    """`pip install --target` puts the command where no path leads; it's found all the same."""
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", tmp_path / "lib", wheel]
    subprocess.run(install, check=True)
    dependencies = next(path for path in sys.path if path.endswith("site-packages"))
    program = f"import sys; sys.path[:0] = [{str(tmp_path / 'lib')!r}]; sys.path += [{dependencies!r}]\n"
    program += (
        "import worldstep; envs = worldstep.make_vec('CartPole-v0', engine='dream'); envs.reset(seed=0)\n"
    )
    program += "from worldstep import private_server; print(private_server.find_binary())"
    # Isolated, and of an interpreter beside which no command lies.
    interpreter = Path(sys.base_prefix) / "bin" / "python3"
    told = run([interpreter, "-I", "-c", program], tmp_path).strip()
    assert told == str(tmp_path / "lib" / "bin" / "worldstep")
