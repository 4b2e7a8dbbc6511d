"""Measures this network for `worldstep bench dream --peers` and `worldstep bench train --peers`.

Reads one JSON object a line and answers with one. First `model` (a folder), `threads` and `device` (cpu or
cuda:N, where products are computed in bf16, and weights and rings of steps are stored so), answered by
`version` and `modes`. Then what to measure: `work`
(step, dynamics, tokenizer), `mode` (eager, compile), `seconds`, and for `step` `envs` and `obs` (rgb, codes),
for the others `batch` (windows of a whole ring, or frames). The answer is `per_s`, environment-steps or
frames, and `median_per_s`, at the pace of the median call. What was warmed up stays so: the same question
may be asked again in turns with another engine. `said` (codes, actions, level, mode) asks what one lane says
of the given frames.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from . import fsq, tokenizer
from .config import (
    CODE_VALUES,
    CODES_PER_TOKEN,
    FRAME_CODES,
    FSQ_LEVELS,
    NOISE_LEVELS,
    REWARD_BINS,
)
from .load import Model, load, store_products
from .stepper import Stepper
from .train import Windows, dynamics_loss, learn, optimizer, softmax_groups, tokenizer_loss

WARM_UP_CALLS = 3
RATE = 1e-4

#: One call, and what it gets done.
Work = tuple[Callable[[], object], int]


def random_codes(frames: int) -> Tensor:
    """`[frames, 64, 4]` level indices."""
    return torch.stack([torch.randint(levels, (frames, FRAME_CODES)) for levels in FSQ_LEVELS], -1)


def stored() -> torch.dtype:
    """What weights and rings of a step are stored as: what products are computed in."""
    on_gpu = torch.get_default_device().type == "cuda"
    return torch.bfloat16 if on_gpu else torch.float32


def compiled(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """The function itself, or what torch.compile makes of it for these shapes alone."""
    return torch.compile(function, dynamic=False) if mode == "compile" else function


def stepping(model: Model, ask: dict[str, Any]) -> Work:
    """Steps that follow their own frames under one random action a lane."""
    lanes = ask["envs"]
    dtype = stored()
    store_products(model, dtype)
    stepper = Stepper(model, lanes, decode=ask["obs"] == "rgb", dtype=dtype)
    step = compiled(stepper.step, ask["mode"])
    values = model.config.action_values
    actions = torch.nn.functional.one_hot(torch.randint(values, (lanes,)), values).float()
    levels, draws = torch.ones(lanes, dtype=torch.long), torch.zeros(lanes, dtype=torch.long)
    mask = torch.ones(lanes, dtype=torch.bool)
    codes = random_codes(lanes).to(torch.uint8)

    def call() -> None:
        nonlocal codes
        said = step(codes, actions, levels, mask, draws)
        codes = said.codes.clone()

    return call, lanes


def said(model: Model, ask: dict[str, Any]) -> dict[str, Any]:
    """What one lane says of frames that it is given, for the asker to compare."""
    stepper = Stepper(model, 1, decode=False)
    step = compiled(stepper.step, ask["mode"])
    actions, levels = torch.tensor([ask["actions"]]), torch.tensor([ask["level"]])
    mask, draws = torch.ones(1, dtype=torch.bool), torch.zeros(1, dtype=torch.long)
    answer: dict[str, Any] = {"codes": [], "rewards": [], "terminated": []}
    for codes in ask["codes"]:
        now = torch.tensor(codes, dtype=torch.uint8).reshape(1, FRAME_CODES, CODE_VALUES)
        output = step(now, actions, levels, mask, draws)
        answer["codes"].append(output.codes.flatten().tolist())
        answer["rewards"].append(output.rewards.item())
        answer["terminated"].append(output.terminated.item())
    return answer


def dynamics_training(model: Model, ask: dict[str, Any]) -> Work:
    """Steps of the dynamics on one batch of random windows."""
    config = model.config
    length = config.context_frames
    frames = ask["batch"] * length
    windows = Windows(
        codes=fsq.one_hot_tokens(random_codes(frames)),
        actions=torch.rand(frames, config.action_values + NOISE_LEVELS),
        next_weighted=fsq.one_hot_tokens(random_codes(frames)),
        code_weights=torch.ones(frames * FRAME_CODES // CODES_PER_TOKEN, CODES_PER_TOKEN * CODE_VALUES),
        rewards=torch.rand(frames, REWARD_BINS),
        reward_weights=torch.ones(frames, 1),
        terminated=torch.zeros(frames, 1),
        terminated_weights=torch.ones(frames, 1),
        objects=torch.rand(frames, config.object_values),
        real=torch.ones(frames, 1),
    )
    dynamics, groups, adam = model.dynamics, softmax_groups(), optimizer(model.dynamics, RATE)

    def loss() -> Tensor:
        return dynamics_loss(dynamics(windows.codes, windows.actions, length), windows, groups)

    measured = compiled(loss, ask["mode"])
    return lambda: learn(dynamics, measured(), adam), frames


def tokenizer_training(model: Model, ask: dict[str, Any]) -> Work:
    """Steps of the tokenizer on one batch of random frames."""
    frames, side = ask["batch"], model.config.frame_side
    target = tokenizer.patches(torch.randint(256, (frames, side, side, 3), dtype=torch.uint8))
    weights, adam = torch.ones_like(target), optimizer(model.tokenizer, RATE)
    loss = compiled(lambda: tokenizer_loss(model.tokenizer, target, weights), ask["mode"])
    return lambda: learn(model.tokenizer, loss(), adam), frames


WORKS = {"step": stepping, "dynamics": dynamics_training, "tokenizer": tokenizer_training}


def per_s(work: Work, seconds: float) -> tuple[float, float]:
    """What gets done in a second: on average, and at the pace of the median call."""
    call, amount = work
    times = []
    while sum(times) < seconds:
        start = time.perf_counter()
        call()
        if torch.get_default_device().type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return amount * len(times) / sum(times), amount / median(times)


def main() -> None:
    """Answers until there are no more questions."""
    hello = json.loads(sys.stdin.readline())
    torch.set_num_threads(hello["threads"])
    torch.manual_seed(0)
    folder = Path(hello["model"])
    device = torch.device(hello.get("device", "cpu"))
    torch.set_default_device(device)
    # torch.compile writes C++ for a processor, and has what it needs for a GPU.
    compilers = (os.environ.get("CXX", "g++"), "g++", "clang++")
    compiles = device.type == "cuda" or any(shutil.which(name) for name in compilers)
    modes = ["eager", "compile"] if compiles else ["eager"]
    print(json.dumps({"version": torch.__version__, "modes": modes}), flush=True)
    ready: dict[str, Work] = {}
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        for line in sys.stdin:
            print(json.dumps(answer(folder, json.loads(line), ready)), flush=True)


def answer(folder: Path, ask: dict[str, Any], ready: dict[str, Work]) -> dict[str, Any]:
    """What is asked for; `ready` keeps what is warm."""
    device = str(torch.get_default_device())
    # Training changes the weights: each question has its own.
    if ask["work"] == "said":
        return said(load(folder, device), ask)
    seconds = ask.pop("seconds")
    name = json.dumps(ask, sort_keys=True)
    if name not in ready:
        ready[name] = WORKS[ask["work"]](load(folder, device), ask)
        for _ in range(WARM_UP_CALLS):
            ready[name][0]()
    mean, middle = per_s(ready[name], seconds)
    return {"per_s": mean, "median_per_s": middle}


if __name__ == "__main__":
    main()
