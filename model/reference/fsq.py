"""Finite scalar quantisation (https://arxiv.org/abs/2309.15505), and how codes lie in tokens."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .config import (
    CODE_LOGITS,
    CODES_PER_TOKEN,
    FRAME_CODES,
    FSQ_LEVELS,
    GRID_SIDE,
    LOGIT_OFFSETS,
    SPATIAL_TOKENS,
    TOKEN_LOGITS,
)


def steps(device: torch.device) -> Tensor:
    """Steps between the levels −1 and 1 of each dimension."""
    return torch.tensor([levels - 1.0 for levels in FSQ_LEVELS], device=device)


def quantize(z: Tensor) -> Tensor:
    """Bounds and rounds `[..., 4]`, passing the gradient straight through the rounding."""
    n = steps(z.device)
    bounded = (z.tanh() * 1.1 + 1.0) * 0.5 * n
    rounded = torch.minimum(bounded.detach().round().clamp(min=0.0), n)
    return (bounded + (rounded - bounded.detach())) * 2.0 / n - 1.0


def levels(quantized: Tensor) -> Tensor:
    """Level indices, `uint8`, of quantised values."""
    n = steps(quantized.device)
    return torch.minimum(((quantized + 1.0) * 0.5 * n).round().clamp(min=0.0), n).to(torch.uint8)


def values(codes: Tensor) -> Tensor:
    """The inverse of `levels`: values in ±1."""
    return codes.float() * 2.0 / steps(codes.device) - 1.0


def to_tokens(codes: Tensor) -> Tensor:
    """`[frames, 64, 4]`, row-major over the grid, to `[frames, 16, 4, 4]`: 2 × 2 codes a token."""
    side = GRID_SIDE // 2
    grid = codes.reshape(-1, side, 2, side, 2, len(FSQ_LEVELS))
    return grid.transpose(2, 3).reshape(-1, SPATIAL_TOKENS, CODES_PER_TOKEN, len(FSQ_LEVELS))


def from_tokens(codes: Tensor) -> Tensor:
    """The inverse of `to_tokens`."""
    side = GRID_SIDE // 2
    grid = codes.reshape(-1, side, side, 2, 2, len(FSQ_LEVELS))
    return grid.transpose(2, 3).reshape(-1, FRAME_CODES, len(FSQ_LEVELS))


def one_hot_tokens(codes: Tensor) -> Tensor:
    """`[frames, 64, 4]` level indices to `[frames * 16, 92]`."""
    tokens = to_tokens(codes).long()
    part = torch.arange(CODES_PER_TOKEN, device=codes.device)[:, None] * CODE_LOGITS
    at = tokens + part + torch.tensor(LOGIT_OFFSETS[:-1], device=codes.device)
    rows = at.reshape(-1, CODES_PER_TOKEN * len(FSQ_LEVELS))
    return torch.zeros(rows.shape[0], TOKEN_LOGITS, device=codes.device).scatter_(1, rows, 1.0)


def split_logits(logits: Tensor) -> list[Tensor]:
    """`[rows, 92]` to one `[rows, 4, levels]` for each FSQ dimension."""
    return list(logits.reshape(-1, CODES_PER_TOKEN, CODE_LOGITS).split(FSQ_LEVELS, dim=-1))


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy of a frame's softmaxes in nats: `[frames * 16, 92]` to `[frames]`."""
    parts = []
    for part in split_logits(logits):
        log_p = F.log_softmax(part, dim=-1)
        parts.append(-(log_p.exp() * log_p).sum(-1))
    return torch.stack(parts, -1).reshape(-1, SPATIAL_TOKENS * CODES_PER_TOKEN * len(FSQ_LEVELS)).mean(1)
