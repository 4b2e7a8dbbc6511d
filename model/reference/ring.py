"""Cached stepping: the keys and values of the last frames, with a pointer and an age for each lane."""

from __future__ import annotations

import torch
from torch import Tensor

from .block import Time
from .config import FRAME_TOKENS, ModelConfig


class Ring:
    """Keys and values of one temporal layer, `[lanes, FRAME_TOKENS, kv_heads, context_frames, head_dim]`."""

    def __init__(self, config: ModelConfig, lanes: int, device: torch.device, dtype: torch.dtype) -> None:
        stack = config.dynamics
        shape = (lanes, FRAME_TOKENS, stack.kv_heads, config.context_frames, stack.head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.lanes = torch.arange(lanes, device=device)
        self.slot = torch.zeros(lanes, dtype=torch.long, device=device)
        self.mask = torch.ones(lanes, dtype=torch.bool, device=device)

    def put(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Puts `[lanes, FRAME_TOKENS, kv_heads, head_dim]` into the present slots, but for held lanes."""
        held = ~self.mask[:, None, None, None]
        for ring, frame in ((self.keys, k), (self.values, v)):
            before = ring[self.lanes, :, :, self.slot]
            ring[self.lanes, :, :, self.slot] = torch.where(held, before, frame.to(ring.dtype))
        return self.keys, self.values


class Cache:
    """The rings of all temporal layers.

    A lane is reset by setting its age to 0: what is left in its slots is hidden. A lane that is held keeps
    pointer, age and slots; what the pass says of it is meaningless.
    """

    def __init__(
        self,
        config: ModelConfig,
        lanes: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.context_frames = config.context_frames
        layers = [i for i in range(config.dynamics.layers) if config.is_temporal(i)]
        self.rings = {layer: Ring(config, lanes, device, dtype) for layer in layers}
        self.ages = torch.zeros(lanes, dtype=torch.long, device=device)
        self.newest = torch.zeros(lanes, dtype=torch.long, device=device)
        self.slots = torch.arange(config.context_frames, device=device)

    def reset(self, lanes: Tensor) -> None:
        """Forgets what these lanes (a mask or indices) have seen."""
        self.ages[lanes] = 0

    def advance(self, mask: Tensor) -> Time:
        """Moves the lanes of the mask on by one frame and says what the new frame may see."""
        self.newest.add_(mask).remainder_(self.context_frames)
        self.ages.add_(mask).clamp_(max=self.context_frames)
        for ring in self.rings.values():
            ring.slot, ring.mask = self.newest, mask
        distance = (self.newest[:, None] - self.slots[None, :]) % self.context_frames
        return Time(1, distance.unsqueeze(1), (distance >= self.ages[:, None]).unsqueeze(1))
