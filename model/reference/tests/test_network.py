"""What the network in PyTorch promises by itself."""

from __future__ import annotations

import math

import pytest
import torch

from reference import fsq, sampling, tokenizer
from reference.answers import answers, inputs
from reference.block import rms_norm
from reference.config import FSQ_LEVELS, REWARD_BINS, SPATIAL_TOKENS, TOKEN_LOGITS, ModelConfig, StackConfig
from reference.load import Model, load, random, save, store_products
from reference.stepper import Stepper
from reference.train import Windows, dynamics_loss, learn, optimizer, softmax_groups, tokenizer_loss


def small() -> Model:
    stack = StackConfig(width=32, layers=1, heads=4, kv_heads=2, hidden=48)
    config = {
        "preset": "nano",
        "encoder": vars(stack),
        "decoder": vars(stack),
        "dynamics": {**vars(stack), "layers": 3},
        "temporal_every": 2,
        "context_frames": 4,
        "action_values": 3,
        "tracked_objects": 2,
    }
    torch.manual_seed(0)
    return random({"format": 1, "config": config})


def test_cached_steps_equal_the_causal_pass() -> None:
    model = small()
    given = inputs(model.config, 3, 11, 1)
    given["mask"][:], given["reset"][:] = 1, 0
    said = answers(model, given)
    for name in ("codes", "reward", "terminated", "objects"):
        causal = said[f"causal.{name}"].transpose(0, 1)
        assert torch.allclose(causal.reshape(said[f"cached.{name}"].shape), said[f"cached.{name}"], atol=1e-5)


def test_a_lane_never_feels_its_neighbours() -> None:
    model = small()
    given = inputs(model.config, 3, 11, 1)
    alone = {name: rows[:, :1] for name, rows in given.items() if name != "frames"} | {
        "frames": given["frames"]
    }
    together, single = answers(model, given), answers(model, alone)
    assert torch.allclose(together["cached.codes"][:, :1], single["cached.codes"], atol=1e-5)


def test_steps_in_bfloat16_say_nearly_the_same() -> None:
    said = []
    for dtype in (torch.float32, torch.bfloat16):
        model = small()
        store_products(model, dtype)
        assert model.dynamics.to_codes.weight.dtype == dtype
        stepper = Stepper(model, 2, decode=True, dtype=dtype)
        torch.manual_seed(1)
        codes = torch.stack([torch.randint(levels, (6, 2, 64)) for levels in FSQ_LEVELS], -1).to(torch.uint8)
        actions, levels = torch.rand(6, 2, 3), torch.ones(2, dtype=torch.long)
        mask, draws = torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.long)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            steps = [stepper.step(codes[t], actions[t], levels, mask, draws) for t in range(6)]
        rings = [ring.keys for ring in stepper.cache.rings.values()]
        assert all(keys.dtype == dtype and keys.abs().sum() > 0 for keys in rings)
        said.append(torch.stack([step.objects.float() for step in steps]))
    assert 0 < (said[0] - said[1]).abs().max() < 0.1


def test_saved_weights_come_back(tmp_path) -> None:
    model = small()
    save(model, tmp_path)
    read = load(tmp_path)
    assert read.config == ModelConfig.from_card(model.card["config"])
    for a, b in ((model.dynamics, read.dynamics), (model.tokenizer, read.tokenizer)):
        assert all(
            torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
        )


def test_a_size_that_is_not_known_is_refused() -> None:
    config = small().card["config"] | {"experts": 8}
    with pytest.raises(ValueError, match="experts"):
        ModelConfig.from_card(config)


def test_codes_tokens_and_pictures_come_back() -> None:
    codes = torch.stack([torch.randint(n, (5, 64)) for n in FSQ_LEVELS], -1)
    assert torch.equal(fsq.from_tokens(fsq.to_tokens(codes)), codes)
    assert torch.equal(fsq.levels(fsq.values(codes)).long(), codes)
    assert torch.equal(sampling.likeliest(fsq.one_hot_tokens(codes)).long(), codes)
    pictures = torch.randint(256, (2, 64, 64, 3), dtype=torch.uint8)
    assert torch.equal(tokenizer.frames(tokenizer.patches(pictures)), pictures)


def test_samples_follow_the_logits_and_their_own_draw() -> None:
    frames = 400
    logits = torch.zeros(frames * SPATIAL_TOKENS, TOKEN_LOGITS)
    logits[:, 0] = 2.0
    draws = torch.arange(frames)
    codes = sampling.sample(logits, 1.0, draws)
    first = codes.reshape(frames, 8, 8, 4)[:, ::2, ::2, 0]
    expected = math.exp(2.0) / (math.exp(2.0) + 7.0)
    assert abs((first == 0).float().mean() - expected) < 0.02
    assert torch.equal(sampling.sample(logits[:SPATIAL_TOKENS], 1.0, draws[:1]), codes[:1])
    assert not torch.equal(codes[0], codes[1])


def test_ignorance_and_certainty_have_their_entropies() -> None:
    logits = torch.zeros(SPATIAL_TOKENS, TOKEN_LOGITS)
    assert fsq.entropy(logits).item() == pytest.approx((math.log(8) + 3 * math.log(5)) / 4, abs=1e-5)


def test_norm_has_no_gain() -> None:
    assert torch.allclose(rms_norm(torch.tensor([[3.0, 4.0]])), torch.tensor([[3.0, 4.0]]) / 12.5**0.5)


def test_training_steps_lower_the_losses() -> None:
    model = small()
    frames, length = 8, 4
    codes = torch.stack([torch.randint(n, (frames, 64)) for n in FSQ_LEVELS], -1)
    one_hot = fsq.one_hot_tokens(codes)
    ones = torch.ones(frames, 1)
    windows = Windows(
        codes=one_hot,
        actions=torch.rand(frames, 7),
        next_weighted=one_hot.flip(0),
        code_weights=torch.ones(frames * SPATIAL_TOKENS, 16),
        rewards=torch.full((frames, REWARD_BINS), 1.0 / REWARD_BINS),
        reward_weights=ones,
        terminated=torch.zeros(frames, 1),
        terminated_weights=ones,
        objects=torch.rand(frames, model.config.object_values),
        real=ones,
    )
    adam, groups = optimizer(model.dynamics, 1e-2), softmax_groups()
    losses = [
        learn(
            model.dynamics,
            dynamics_loss(model.dynamics(windows.codes, windows.actions, length), windows, groups),
            adam,
        )
        for _ in range(20)
    ]
    assert losses[-1] < losses[0] * 0.8
    target = tokenizer.patches(torch.full((2, 64, 64, 3), 200, dtype=torch.uint8))
    adam, weights = optimizer(model.tokenizer, 1e-2), torch.ones_like(target)
    losses = [
        learn(model.tokenizer, tokenizer_loss(model.tokenizer, target, weights), adam) for _ in range(20)
    ]
    assert losses[-1] < losses[0] * 0.8
