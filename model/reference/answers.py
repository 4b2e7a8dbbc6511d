"""Inputs to compare networks with, and what this one says of them.

`model/examples/reference_fixture` is the Rust side of it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import fsq, tokenizer
from .config import FRAME_CODES, FSQ_LEVELS, NOISE_LEVELS, ModelConfig
from .dynamics import FrameOutput
from .load import Model
from .ring import Cache
from .stepper import Stepper

Arrays = dict[str, Tensor]


def inputs(config: ModelConfig, lanes: int, steps: int, pictures: int) -> Arrays:
    """Random frames, actions and pictures; some lanes are held, some reset, at all ages of a ring."""
    shape = (steps, lanes)
    levels = [torch.randint(n, (*shape, FRAME_CODES), dtype=torch.uint8) for n in FSQ_LEVELS]
    reset = torch.rand(shape) < 0.02
    # One lane is never reset or held, so that its ring goes all the way around.
    mask = torch.rand(shape) < 0.8
    reset[:, 0], mask[:, 0] = False, True
    return {
        "codes": torch.stack(levels, -1),
        "actions": torch.rand(*shape, config.action_values) * 2.0 - 1.0,
        "levels": torch.randint(NOISE_LEVELS, shape, dtype=torch.uint8),
        "mask": mask.to(torch.uint8),
        "reset": reset.to(torch.uint8),
        "frames": smooth_pictures(pictures, config.frame_side),
    }


def smooth_pictures(count: int, side: int) -> Tensor:
    """`[count, side, side, 3]` `uint8`: soft colours with a little noise."""
    coarse = torch.rand(count, 3, 5, 5)
    soft = torch.nn.functional.interpolate(coarse, side, mode="bilinear").permute(0, 2, 3, 1).contiguous()
    return ((soft + 0.02 * torch.randn(soft.shape)).clamp(0, 1) * 255).to(torch.uint8)


@torch.no_grad()
def answers(model: Model, given: Arrays) -> Arrays:
    """What the network says by every road that it has; rows of held lanes are 0."""
    out = causal(model, given) | cached(model, given) | stepped(model, given)
    values = model.tokenizer.encode(tokenizer.patches(given["frames"]))
    codes = fsq.levels(values)
    patches = model.tokenizer.decode(fsq.values(codes))
    count = given["frames"].shape[0]
    out["encode.codes"] = codes.reshape(count, -1)
    out["decode.patches"] = patches.reshape(count, -1)
    out["decode.frames"] = tokenizer.frames(patches).reshape(count, -1)
    return out


def read(given: Arrays, step: int | slice) -> tuple[Tensor, Tensor]:
    """What the dynamics reads of one step's lanes, or of some steps of all lanes, lane after lane."""
    codes, actions, levels = (given[name][step] for name in ("codes", "actions", "levels"))
    if isinstance(step, slice):
        codes, actions, levels = (rows.transpose(0, 1).flatten(0, 1) for rows in (codes, actions, levels))
    told = torch.nn.functional.one_hot(levels.long(), NOISE_LEVELS).float()
    return fsq.one_hot_tokens(codes), torch.cat([actions, told], 1)


def causal(model: Model, given: Arrays) -> Arrays:
    """All frames of each lane in one pass."""
    steps, lanes = given["mask"].shape
    said = model.dynamics(*read(given, slice(None)), steps)
    return named("causal", [rows.reshape(lanes, steps, -1) for rows in said if rows is not None])


def cached(model: Model, given: Arrays) -> Arrays:
    """Step after step with a cache."""
    steps, lanes = given["mask"].shape
    cache = Cache(model.config, lanes, given["codes"].device)
    rows = []
    for step in range(steps):
        cache.reset(given["reset"][step].bool())
        mask = given["mask"][step].bool()
        said = model.dynamics.step(*read(given, step), mask, cache)
        rows.append([part.reshape(lanes, -1) * mask[:, None] for part in said if part is not None])
    return named("cached", [torch.stack(part) for part in zip(*rows, strict=True)])


def stepped(model: Model, given: Arrays) -> Arrays:
    """The same steps with the likeliest codes drawn, as an engine says them."""
    steps, lanes = given["mask"].shape
    stepper = Stepper(model, lanes, decode=False)
    draws = torch.zeros(lanes, dtype=torch.long)
    rows = []
    for step in range(steps):
        stepper.cache.reset(given["reset"][step].bool())
        mask = given["mask"][step].bool()
        now = [given[name][step] for name in ("codes", "actions")]
        said = stepper.step(*now, given["levels"][step].long(), mask, draws)
        parts = [said.codes, said.rewards, said.terminated, said.objects, said.uncertainty]
        rows.append([part.reshape(lanes, -1) * mask[:, None] for part in parts])
    names = ("codes", "rewards", "terminated", "objects", "uncertainty")
    columns = (torch.stack(part) for part in zip(*rows, strict=True))
    return {f"engine.{name}": part for name, part in zip(names, columns, strict=True)}


def named(road: str, said: list[Tensor]) -> Arrays:
    """The parts of an output under their names; a model need not have the last one."""
    return {f"{road}.{name}": part for name, part in zip(FrameOutput._fields, said, strict=False)}
