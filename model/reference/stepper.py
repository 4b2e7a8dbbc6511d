"""One step of the dream: append a frame → predict → sample the next → decode it, as the Rust engines do."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from . import fsq, sampling, tokenizer
from .config import NOISE_LEVELS
from .load import Model
from .ring import Cache


class StepOutput(NamedTuple):
    """What one step says, lane after lane."""

    #: `[lanes, 64, 4]` level indices of the next frames.
    codes: Tensor
    #: `[lanes, side, side, 3]` `uint8`, or nothing.
    frames: Tensor | None
    #: Expected rewards, and probabilities that the episode ends.
    rewards: Tensor
    terminated: Tensor
    #: `[lanes, objects * 6]`, normalised.
    objects: Tensor
    #: Mean entropy of the next frame's codes, in nats.
    uncertainty: Tensor


class Stepper:
    """A batch of dreams that can be stepped."""

    def __init__(
        self,
        model: Model,
        lanes: int,
        *,
        decode: bool,
        temperature: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`dtype` is what the rings are stored as."""
        self.model, self.decode, self.temperature = model, decode, temperature
        self.device = model.dynamics.position.device
        self.cache = Cache(model.config, lanes, self.device, dtype)

    @torch.no_grad()
    def step(self, codes: Tensor, actions: Tensor, levels: Tensor, mask: Tensor, draws: Tensor) -> StepOutput:
        """Appends a frame to each lane of the mask and draws the frames that follow.

        `codes` are `[lanes, 64, 4]` level indices, `actions` are `[lanes, action_values]`, `levels` the
        corruption levels that the model is told of, `draws` names each lane's randomness.
        """
        told = torch.nn.functional.one_hot(levels, NOISE_LEVELS).float()
        said = self.model.dynamics.step(
            fsq.one_hot_tokens(codes), torch.cat([actions, told], 1), mask, self.cache
        )
        following = sampling.sample(said.codes, self.temperature, draws)
        frames = None
        if self.decode:
            values = fsq.values(following).flatten(0, 1)
            frames = tokenizer.frames(self.model.tokenizer.decode(values))
        return StepOutput(
            following,
            frames,
            sampling.expected_reward(said.reward),
            said.terminated.squeeze(1).sigmoid(),
            said.objects,
            fsq.entropy(said.codes),
        )
