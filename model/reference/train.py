"""One training step of tokenizer and dynamics: losses, clipping and optimiser of `worldstep train`."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import CODE_LOGITS, CODE_VALUES, CODES_PER_TOKEN, LOGIT_OFFSETS, TOKEN_LOGITS
from .dynamics import FrameOutput
from .tokenizer import Tokenizer

#: Weights of the heads beside the codes.
REWARD, TERMINATED, OBJECTS = 0.2, 0.2, 0.3
#: Weights of the tokenizer's terms.
L1, L2, WORST = 0.5, 2.0, 0.02
#: Beyond this a logit is as good as certain.
LOGIT_MAX = 30.0
#: Gradients beyond this norm, over all weights together, are scaled down to it.
GRADIENT_NORM_MAX = 1.0


class Windows(NamedTuple):
    """Windows of consecutive frames and what was to follow; `frames` is windows × length."""

    #: `[frames * SPATIAL_TOKENS, TOKEN_LOGITS]`, one-hot.
    codes: Tensor
    #: `[frames, action_values + NOISE_LEVELS]`.
    actions: Tensor
    #: One-hot next codes times their weight, as `codes`.
    next_weighted: Tensor
    #: `[frames * SPATIAL_TOKENS, 16]`: the weight of each softmax.
    code_weights: Tensor
    #: `[frames, REWARD_BINS]`, two-hot, times its weight, and the weight, `[frames, 1]`.
    rewards: Tensor
    reward_weights: Tensor
    #: `[frames, 1]`.
    terminated: Tensor
    terminated_weights: Tensor
    #: `[frames, objects * 6]`, normalised.
    objects: Tensor
    #: `[frames, 1]`: 1 for a frame of a clip, 0 beyond its end.
    real: Tensor


def softmax_groups() -> Tensor:
    """`[TOKEN_LOGITS, 16]`: 1 where a logit belongs to a softmax."""
    groups = torch.zeros(TOKEN_LOGITS, CODES_PER_TOKEN * CODE_VALUES)
    for part in range(CODES_PER_TOKEN):
        for dim, (first, end) in enumerate(pairwise(LOGIT_OFFSETS)):
            at = part * CODE_LOGITS
            groups[at + first : at + end, part * CODE_VALUES + dim] = 1.0
    return groups


def dynamics_loss(output: FrameOutput, windows: Windows, groups: Tensor) -> Tensor:
    """Cross-entropy of codes and reward, binary cross-entropy of termination, squared error of objects."""
    logits = output.codes.clamp(-LOGIT_MAX, LOGIT_MAX)
    partition = (logits.exp() @ groups).log()
    weights = windows.code_weights
    codes = ((partition * weights).sum() - (logits * windows.next_weighted).sum()) / (weights.sum() + 1e-6)
    reward = -(F.log_softmax(output.reward, 1) * windows.rewards).sum() / windows.reward_weights.sum()
    logit = output.terminated.clamp(-LOGIT_MAX, LOGIT_MAX)
    ends = windows.terminated_weights * windows.real
    terminated = ((logit.exp().log1p() - logit * windows.terminated) * ends).sum() / ends.sum()
    error = (output.objects - windows.objects).square() * windows.real
    objects = error.sum() / (windows.real.sum() * output.objects.shape[1])
    return codes + reward * REWARD + terminated * TERMINATED + objects * OBJECTS


def tokenizer_loss(tokenizer: Tokenizer, target: Tensor, weights: Tensor) -> Tensor:
    """L1, L2 and the worst pixel of each patch; `target` and `weights` are `[frames * 64, 192]`."""
    error = (tokenizer.decode(tokenizer.encode(target)) - target).abs()
    total = weights.sum()
    weighted = error * weights
    l1, l2 = weighted.sum() / total, (weighted * error).sum() / total
    return l1 * L1 + l2 * L2 + error.amax(1).mean() * WORST


def optimizer(module: nn.Module, rate: float) -> torch.optim.AdamW:
    """A fresh optimiser."""
    return torch.optim.AdamW(module.parameters(), rate, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.02)


def learn(module: nn.Module, loss: Tensor, adam: torch.optim.AdamW) -> Tensor:
    """Goes one step down the gradient of a loss; the loss before."""
    adam.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), GRADIENT_NORM_MAX)
    adam.step()
    return loss.detach()
