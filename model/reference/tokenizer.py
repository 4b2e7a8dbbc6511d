"""Frame ↔ 8 × 8 codes: patches → encoder → FSQ → decoder → patches."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from . import fsq
from .block import Block, rms_norm
from .config import CODE_VALUES, FRAME_CODES, GRID_SIDE, ModelConfig


def patches(frames: Tensor) -> Tensor:
    """Frames, `[frames, side, side, 3]` `uint8`, as `[frames * 64, patch values]` in ±1."""
    side = frames.shape[1] // GRID_SIDE
    grid = frames.reshape(-1, GRID_SIDE, side, GRID_SIDE, side, 3).transpose(2, 3)
    return grid.reshape(-1, side * side * 3).float() / 127.5 - 1.0


def frames(patches: Tensor) -> Tensor:
    """The inverse of `patches`, rounded and clamped to `uint8`."""
    side = math.isqrt(patches.shape[1] // 3)
    grid = patches.reshape(-1, GRID_SIDE, GRID_SIDE, side, side, 3).transpose(2, 3)
    pixels = ((grid + 1.0) * 127.5).round().clamp(0.0, 255.0).to(torch.uint8)
    return pixels.reshape(-1, GRID_SIDE * side, GRID_SIDE * side, 3)


class Tokenizer(nn.Module):
    """Encoder and decoder. The encoder does not attend: a patch's code depends on that patch alone."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        encoder, decoder = config.encoder, config.decoder
        self.embed_patch = nn.Linear(config.patch_values, encoder.width)
        self.encoder_position = nn.Parameter(torch.randn(FRAME_CODES, encoder.width) * 0.3)
        self.encoder = nn.ModuleList(Block(encoder, False) for _ in range(encoder.layers))
        self.to_code = nn.Linear(encoder.width, CODE_VALUES)
        self.embed_code = nn.Linear(CODE_VALUES, decoder.width)
        self.decoder_position = nn.Parameter(torch.randn(FRAME_CODES, decoder.width) * 0.3)
        self.decoder = nn.ModuleList(Block(decoder, True) for _ in range(decoder.layers))
        self.to_patch = nn.Linear(decoder.width, config.patch_values)

    def encode(self, patches: Tensor) -> Tensor:
        """`[frames * 64, patch values]` in ±1 to `[frames * 64, 4]`, quantised values in ±1."""
        return fsq.quantize(self.before_rounding(patches))

    def before_rounding(self, patches: Tensor) -> Tensor:
        """What `encode` rounds: `[frames * 64, 4]`, any range."""
        x = add_position(self.embed_patch(patches), self.encoder_position)
        for block in self.encoder:
            x = block(x, FRAME_CODES)
        return self.to_code(rms_norm(x))

    def decode(self, codes: Tensor) -> Tensor:
        """`[frames * 64, 4]`, values in ±1, to `[frames * 64, patch values]`, pixels in about ±1."""
        x = add_position(self.embed_code(codes), self.decoder_position)
        for block in self.decoder:
            x = block(x, FRAME_CODES)
        return self.to_patch(rms_norm(x))


def add_position(x: Tensor, position: Tensor) -> Tensor:
    """Adds each place's row to that place in every frame."""
    return (x.unflatten(0, (-1, FRAME_CODES)) + position).flatten(0, 1)
