"""Block-causal transformer: one pass appends frame `t` and predicts frame `t + 1`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .block import Block, Time, rms_norm
from .config import (
    FRAME_TOKENS,
    NOISE_LEVELS,
    READOUT_TOKEN,
    REWARD_BINS,
    SPATIAL_TOKENS,
    TOKEN_LOGITS,
    ModelConfig,
)
from .ring import Cache


class FrameOutput(NamedTuple):
    """What the dynamics says of the step that follows each frame."""

    #: `[frames * SPATIAL_TOKENS, TOKEN_LOGITS]`: codes of the next frame.
    codes: Tensor
    #: `[frames, REWARD_BINS]`: two-hot logits of the reward.
    reward: Tensor
    #: `[frames, 1]`: logit of termination.
    terminated: Tensor
    #: `[frames, objects * 6]`: normalised positions and velocities in the frame itself.
    objects: Tensor
    #: `[frames, objects * 2]`: logits of presence; None for a model without this readout.
    presence: Tensor | None = None


class Dynamics(nn.Module):
    """Codes and actions to the next codes, reward, termination and object states."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        stack = config.dynamics
        self.context_frames = config.context_frames
        self.embed_codes = nn.Linear(TOKEN_LOGITS, stack.width)
        self.embed_action = nn.Linear(config.action_values + NOISE_LEVELS, stack.width)
        self.position = nn.Parameter(torch.randn(FRAME_TOKENS, stack.width) * 0.3)
        self.blocks = nn.ModuleList(
            Block(stack, True, config.context_frames if config.is_temporal(i) else None)
            for i in range(stack.layers)
        )
        self.to_codes = nn.Linear(stack.width, TOKEN_LOGITS)
        self.persistence = nn.Parameter(torch.full((TOKEN_LOGITS,), 3.0))
        self.to_reward = nn.Linear(stack.width, REWARD_BINS)
        self.to_terminated = nn.Linear(stack.width, 1)
        self.to_objects = nn.Linear(stack.width, config.object_values)
        self.to_presence = nn.Linear(stack.width, config.presence_values) if config.presence else None

    def forward(self, codes: Tensor, actions: Tensor, frames: int) -> FrameOutput:
        """Many consecutive frames of each lane at once, each seeing only itself and the past.

        `codes` is `[lanes * frames * SPATIAL_TOKENS, TOKEN_LOGITS]`, one-hot; `actions` is
        `[lanes * frames, action_values + NOISE_LEVELS]`.
        """
        return self.run(codes, actions, Time.causal(frames, self.context_frames, codes.device), None)

    def step(self, codes: Tensor, actions: Tensor, mask: Tensor, cache: Cache) -> FrameOutput:
        """One frame of each lane, appended to `cache` where `mask` is true."""
        return self.run(codes, actions, cache.advance(mask), cache)

    def run(self, codes: Tensor, actions: Tensor, time: Time, cache: Cache | None) -> FrameOutput:
        """The pass behind `forward` and `step`."""
        frames = actions.shape[0]
        x = self.embed(codes, actions).flatten(0, 1)
        for i, block in enumerate(self.blocks):
            x = block(x, FRAME_TOKENS, time, None if cache is None else cache.rings.get(i))
        x = rms_norm(x).unflatten(0, (frames, FRAME_TOKENS))
        spatial = x[:, :SPATIAL_TOKENS].flatten(0, 1)
        readout = x[:, READOUT_TOKEN]
        return FrameOutput(
            torch.addcmul(self.to_codes(spatial), codes, self.persistence),
            self.to_reward(readout),
            self.to_terminated(readout),
            self.to_objects(readout),
            None if self.to_presence is None else self.to_presence(readout),
        )

    def embed(self, codes: Tensor, actions: Tensor) -> Tensor:
        """`[frames, FRAME_TOKENS, width]`."""
        spatial = self.embed_codes(codes).unflatten(0, (-1, SPATIAL_TOKENS))
        action = self.embed_action(actions).unsqueeze(1)
        rest = action.new_zeros(action.shape[0], FRAME_TOKENS - SPATIAL_TOKENS - 1, action.shape[2])
        return torch.cat([spatial, action, rest], 1) + self.position
