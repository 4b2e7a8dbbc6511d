"""Transformer blocks: attention within a frame, over time, and a gated feed-forward layer.

Each on the normalised residual stream. Names of the modules are those of the weights in the safetensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import FRAME_TOKENS, StackConfig

if TYPE_CHECKING:
    from .ring import Ring

#: Added to a score that must not count; finite, so that a row is never all −∞.
HIDDEN = -1e9
EPSILON = 1e-5


def rms_norm(x: Tensor) -> Tensor:
    """Root-mean-square normalisation of the last dimension, without a gain."""
    return F.rms_norm(x, x.shape[-1:], eps=EPSILON)


class Attention(nn.Module):
    """Queries, keys and values from one product, QK-norm, grouped keys and values."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.qkv = nn.Linear(config.width, (config.heads + 2 * config.kv_heads) * config.head_dim, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)
        self.q_gain = nn.Parameter(torch.full((config.head_dim,), 2.0 / config.head_dim**0.5))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries `[rows, kv_heads, groups, head_dim]`, keys and values `[rows, kv_heads, head_dim]`."""
        q, k, v = (
            self.qkv(x)
            .reshape(x.shape[0], -1, self.head_dim)
            .split([self.heads, self.kv_heads, self.kv_heads], dim=1)
        )
        q = rms_norm(q) * self.q_gain
        return q.unflatten(1, (self.kv_heads, -1)), rms_norm(k), v

    def within_frame(self, x: Tensor, tokens: int) -> Tensor:
        """Each token attends to every token of its own frame: `[frames * tokens, width]`, the same out."""
        q, k, v = self.project(x)
        q = q.unflatten(0, (-1, tokens)).permute(0, 2, 3, 1, 4).flatten(2, 3)
        k, v = (t.unflatten(0, (-1, tokens)).transpose(1, 2) for t in (k, v))
        mixed = (q @ k.transpose(2, 3)).softmax(-1) @ v
        mixed = mixed.unflatten(2, (-1, tokens)).permute(0, 3, 1, 2, 4)
        return self.out(mixed.reshape(x.shape))

    def over_time(self, x: Tensor, frames: int, bias: Tensor, ring: Ring | None) -> Tensor:
        """Each token attends to the token of its own place in earlier frames.

        `x` is `[lanes * frames * FRAME_TOKENS, width]`; with a ring, one frame a lane, put into it first.
        `bias` is `[lanes or 1, kv_heads, groups, frames, keys]`.
        """
        q, k, v = self.project(x)
        # [lanes, places, kv_heads, groups, frames, head_dim] and [lanes, places, kv_heads, keys, head_dim]
        q = q.unflatten(0, (-1, frames, FRAME_TOKENS)).permute(0, 2, 3, 4, 1, 5)
        if ring is None:
            k, v = (t.unflatten(0, (-1, frames, FRAME_TOKENS)).permute(0, 2, 3, 1, 4) for t in (k, v))
        else:
            k, v = (t.unflatten(0, (-1, FRAME_TOKENS)) for t in (k, v))
            k, v = ring.put(k, v)
        groups = q.shape[3]
        scores = q.flatten(3, 4) @ k.transpose(3, 4) + bias.flatten(2, 3).unsqueeze(1)
        mixed = (scores.softmax(-1) @ v).unflatten(3, (groups, frames))
        return self.out(mixed.permute(0, 4, 1, 2, 3, 5).reshape(x.shape))


class TemporalAttention(nn.Module):
    """Attention over time, and what it adds to a score for each head and distance."""

    def __init__(self, config: StackConfig, context_frames: int) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.distance_bias = nn.Parameter(torch.randn(config.heads, context_frames))

    def bias(self, distance: Tensor, hidden: Tensor) -> Tensor:
        """What is added to scores at these distances, both `[lanes or 1, frames, keys]`."""
        bias = self.distance_bias[:, distance.clamp(0, self.distance_bias.shape[1] - 1)].transpose(0, 1)
        bias = bias.masked_fill(hidden.unsqueeze(1), HIDDEN)
        return bias.unflatten(1, (self.attention.kv_heads, -1))


class FeedForward(nn.Module):
    """SwiGLU (https://arxiv.org/abs/2002.05202): `(silu(x·A) * x·B)·C`."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.width, config.hidden, bias=False)
        self.value = nn.Linear(config.width, config.hidden, bias=False)
        self.out = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[rows, width]`, the same out."""
        return self.out(F.silu(self.gate(x)) * self.value(x))


class Block(nn.Module):
    """One block; attention within the frame and over time are optional."""

    def __init__(self, config: StackConfig, spatial: bool, context_frames: int | None = None) -> None:
        super().__init__()
        self.spatial = Attention(config) if spatial else None
        self.temporal = None if context_frames is None else TemporalAttention(config, context_frames)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor, tokens: int, time: Time | None = None, ring: Ring | None = None) -> Tensor:
        """`[frames * tokens, width]`, the same out."""
        if self.spatial is not None:
            x = x + self.spatial.within_frame(rms_norm(x), tokens)
        if self.temporal is not None and time is not None:
            bias = self.temporal.bias(time.distance, time.hidden)
            x = x + self.temporal.attention.over_time(rms_norm(x), time.frames, bias, ring)
        return x + self.feed_forward(rms_norm(x))


class Time:
    """Which frames may see which, and how far apart they are."""

    def __init__(self, frames: int, distance: Tensor, hidden: Tensor) -> None:
        self.frames, self.distance, self.hidden = frames, distance, hidden

    @classmethod
    def causal(cls, frames: int, context_frames: int, device: torch.device) -> Time:
        """`frames` consecutive frames, each seeing itself and the `context_frames - 1` before it."""
        at = torch.arange(frames, device=device)
        distance = (at[:, None] - at[None, :]).unsqueeze(0)
        return cls(frames, distance, (distance < 0) | (distance >= context_frames))
