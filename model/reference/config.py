"""Sizes of the world model, as `model/src/config.rs` has them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

#: Levels of the four dimensions of one code, and where their logits begin within a code's 23.
FSQ_LEVELS = (8, 5, 5, 5)
LOGIT_OFFSETS = (0, 8, 13, 18, 23)
CODE_VALUES = len(FSQ_LEVELS)
CODE_LOGITS = sum(FSQ_LEVELS)
#: Patches along a side of a frame, whatever its size.
GRID_SIDE = 8
FRAME_CODES = GRID_SIDE * GRID_SIDE
#: Codes packed into one token, 2 × 2.
CODES_PER_TOKEN = 4
SPATIAL_TOKENS = FRAME_CODES // CODES_PER_TOKEN
TOKEN_LOGITS = CODES_PER_TOKEN * CODE_LOGITS
ACTION_TOKEN = SPATIAL_TOKENS
READOUT_TOKEN = ACTION_TOKEN + 1
#: Spatial tokens, action, readout and two registers.
FRAME_TOKENS = READOUT_TOKEN + 3
#: Levels of context corruption; 0 is clean.
NOISE_LEVELS = 4
#: Position and linear velocity of one tracked object.
OBJECT_VALUES = 6
#: Logits of one tracked object: that it exists, and the share of its silhouette that is seen.
PRESENCE_VALUES = 2
REWARD_BINS = 41
#: The outermost reward bins, on the symlog scale.
SYMLOG_MAX = 3.0


@dataclass(frozen=True)
class StackConfig:
    """A stack of transformer blocks."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    hidden: int

    @property
    def head_dim(self) -> int:
        """Values of one head."""
        return self.width // self.heads


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of tokenizer and dynamics, and what the heads read and predict."""

    preset: str
    encoder: StackConfig
    decoder: StackConfig
    dynamics: StackConfig
    temporal_every: int
    context_frames: int
    action_values: int
    tracked_objects: int
    #: Whether the readout tells which objects exist and how much of each is seen.
    presence: bool = False
    #: Pixels along a side of a frame.
    frame_side: int = 64

    @classmethod
    def from_card(cls, config: dict[str, Any]) -> ModelConfig:
        """Reads `config` of a model.json; what this network does not know is an error, for it may matter."""
        known = {field.name for field in fields(cls)}
        if unknown := set(config) - known:
            raise ValueError(f"config of model.json has {sorted(unknown)}, expected {sorted(known)}")
        stacks = {name: StackConfig(**config[name]) for name in ("encoder", "decoder", "dynamics")}
        return cls(**{**config, **stacks})

    @property
    def patch_values(self) -> int:
        """Values of a patch: its pixels' RGB."""
        return (self.frame_side // GRID_SIDE) ** 2 * 3

    @property
    def object_values(self) -> int:
        """Values of the readout: 6 for each tracked object, and room for one where nothing moves."""
        return max(self.tracked_objects, 1) * OBJECT_VALUES

    @property
    def presence_values(self) -> int:
        """Values of the presence readout: 2 for each object that the readout has room for."""
        return max(self.tracked_objects, 1) * PRESENCE_VALUES

    def is_temporal(self, layer: int) -> bool:
        """Whether this dynamics block attends over time."""
        return layer % self.temporal_every == 0
