"""Codes from logits, and the expected reward."""

from __future__ import annotations

import torch
from torch import Tensor

from . import fsq
from .config import CODE_VALUES, CODES_PER_TOKEN, REWARD_BINS, SPATIAL_TOKENS, SYMLOG_MAX

#: Softmaxes of a frame.
FRAME_SOFTMAXES = SPATIAL_TOKENS * CODES_PER_TOKEN * CODE_VALUES


def likeliest(logits: Tensor) -> Tensor:
    """The likeliest codes: `[frames * 16, 92]` to `[frames, 64, 4]` level indices."""
    picked = torch.stack([part.argmax(-1) for part in fsq.split_logits(logits)], -1)
    return fsq.from_tokens(picked).to(torch.uint8)


def sample(logits: Tensor, temperature: float, draws: Tensor) -> Tensor:
    """As `likeliest`, drawn at `temperature`.

    `draws`, `[frames]` `int64`, names the randomness of each frame: the same draw gives the same codes,
    whatever the neighbours do, here and in Rust.
    """
    if temperature <= 0.0:
        return likeliest(logits)
    left = uniforms(draws).reshape(-1, CODES_PER_TOKEN, CODE_VALUES)
    picked = []
    for dim, part in enumerate(fsq.split_logits(logits)):
        below = (part / temperature).softmax(-1).cumsum(-1)
        picked.append((left[:, :, dim : dim + 1] >= below[..., :-1]).sum(-1))
    return fsq.from_tokens(torch.stack(picked, -1)).to(torch.uint8)


def uniforms(draws: Tensor) -> Tensor:
    """`[frames, FRAME_SOFTMAXES]` numbers in `[0, 1)`: SplitMix64 of the draw and of the number's place."""
    place = torch.arange(1, FRAME_SOFTMAXES + 1, device=draws.device)
    z = draws[:, None] + place * signed(0x9E3779B97F4A7C15)
    z = (z ^ shifted(z, 30)) * signed(0xBF58476D1CE4E5B9)
    z = (z ^ shifted(z, 27)) * signed(0x94D049BB133111EB)
    return shifted(z ^ shifted(z, 31), 40).float() * 2.0**-24


def signed(value: int) -> int:
    """The same 64 bits as PyTorch holds them."""
    return value - (1 << 64) if value >= 1 << 63 else value


def shifted(z: Tensor, bits: int) -> Tensor:
    """A logical shift to the right, which PyTorch does not have."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def expected_reward(logits: Tensor) -> Tensor:
    """The expected reward under `[frames, REWARD_BINS]` logits."""
    bins = torch.linspace(-SYMLOG_MAX, SYMLOG_MAX, REWARD_BINS, device=logits.device)
    mean = (logits.softmax(-1) * bins).sum(-1)
    return mean.sign() * mean.abs().expm1()
