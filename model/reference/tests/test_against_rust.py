"""The network in PyTorch and the one in Rust say the same: weights of either, compared by either."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from reference.answers import Arrays, answers, cached, inputs
from reference.load import Model, load, random, save
from reference.ring import Cache

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "models" / "nano" / "CatchBehindScreen-v0"
LANES, STEPS, PICTURES = 4, 64, 6
# As in model/examples/reference_fixture: a share of values above 1, for sums in another order; and codes and
# pixels whose two nearest levels are equal to the last digit.
TOLERANCE = 1e-4
TIES_MAX = 1e-3


def rust(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = os.environ.get("REFERENCE_FIXTURE")
    assert program, "REFERENCE_FIXTURE names the program; `make test-reference` sets it"
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=600)


def run(*arguments: object) -> None:
    done = rust(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def asked(model: Model, folder: Path) -> tuple[Arrays, Path]:
    """Inputs for a model, and where they lie."""
    torch.manual_seed(1)
    given = inputs(model.config, LANES, STEPS, PICTURES)
    save_file(given, folder / "inputs.safetensors")
    return given, folder / "inputs.safetensors"


def assert_same(ours: Arrays, theirs: Arrays) -> None:
    assert ours.keys() == theirs.keys()
    for name, a in ours.items():
        b = theirs[name]
        assert a.shape == b.shape, name
        if a.dtype == torch.uint8:
            assert (a != b).float().mean() <= TIES_MAX, f"{name}: {(a != b).sum()} of {a.numel()} differ"
        else:
            off = ((a - b).abs() / b.abs().clamp(min=1.0)).max()
            assert off <= TOLERANCE, f"{name} is off by {off:.1e}"


def compare_here(model_folder: Path, folder: Path) -> Model:
    """Rust answers, PyTorch compares."""
    model = load(model_folder)
    given, at = asked(model, folder)
    run("answer", model_folder, at, folder / "said.safetensors")
    assert_same(answers(model, given), load_file(folder / "said.safetensors"))
    return model


def test_the_shipped_weights_say_the_same(tmp_path: Path) -> None:
    compare_here(SHIPPED, tmp_path)


@pytest.mark.parametrize(("preset", "side"), [("nano", 64), ("s", 64), ("s", 128)])
def test_weights_made_by_rust_say_the_same(tmp_path: Path, preset: str, side: int) -> None:
    run("weights", preset, side, SHIPPED, tmp_path / "model")
    compare_here(tmp_path / "model", tmp_path)


def shaken(card: dict) -> Model:
    """Fresh weights in which nothing is as it is at the start of training."""
    torch.manual_seed(2)
    model = random(card)
    with torch.no_grad():
        for module in (model.tokenizer, model.dynamics):
            for weight in module.parameters():
                weight.add_(torch.randn(weight.shape) * 0.05)
    return model


def test_weights_made_here_are_read_and_checked_by_rust(tmp_path: Path) -> None:
    model = shaken(json.loads((SHIPPED / "model.json").read_text()))
    save(model, tmp_path / "model")
    given, at = asked(model, tmp_path)
    said = {name: rows.contiguous() for name, rows in answers(model, given).items()}
    save_file(said, tmp_path / "said.safetensors")
    run("check", tmp_path / "model", at, tmp_path / "said.safetensors")
    # The check can fail: one readout off by more than rounding.
    said["cached.objects"][STEPS // 2, 0, 0] += 0.01
    save_file(said, tmp_path / "wrong.safetensors")
    done = rust("check", tmp_path / "model", at, tmp_path / "wrong.safetensors")
    assert done.returncode != 0 and "cached.objects" in done.stderr, done.stdout + done.stderr


def test_the_inputs_go_all_the_way_around_a_ring() -> None:
    """What has left the rings of all layers must not count, what is still in one must."""
    model = load(SHIPPED)
    torch.manual_seed(1)
    given = inputs(model.config, 1, STEPS, 1)
    reach = len(Cache(model.config, 1, torch.device("cpu")).rings) * (model.config.context_frames - 1)
    assert reach < STEPS - 1

    def last(changed: int | None = None) -> torch.Tensor:
        codes = given["codes"].clone()
        if changed is not None:
            codes[changed] = 0
        return cached(model, given | {"codes": codes})["cached.codes"][STEPS - 1]

    assert torch.equal(last(changed=STEPS - 2 - reach), last())
    assert not torch.equal(last(changed=STEPS // 2), last())
