"""A model's folder, as `worldstep train` writes it: model.json and two safetensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .config import ModelConfig
from .dynamics import Dynamics
from .tokenizer import Tokenizer

#: They differ in what they tell of tasks, which is not read here.
MODEL_FORMATS = (1, 2)


@dataclass
class Model:
    """Card, tokenizer and dynamics."""

    card: dict[str, Any]
    config: ModelConfig
    tokenizer: Tokenizer
    dynamics: Dynamics


def load(folder: Path, device: str = "cpu") -> Model:
    """Reads a model; all of its weights must be there, and no others."""
    card = json.loads((folder / "model.json").read_text())
    if card["format"] not in MODEL_FORMATS:
        raise ValueError(f"{folder}: model format {card['format']}, this code reads {MODEL_FORMATS}")
    model = random(card)
    for name, module in parts(model):
        state = load_file(folder / f"{name}.safetensors")
        module.load_state_dict(turned(module, state))
        module.to(device)
    return model


def store_products(model: Model, dtype: torch.dtype) -> None:
    """Stores what is multiplied as `dtype`; positions, gains and what attention adds stay as they are."""
    for _, part in parts(model):
        for module in part.modules():
            if isinstance(module, nn.Linear):
                module.to(dtype)


def random(card: dict[str, Any]) -> Model:
    """Fresh weights."""
    config = ModelConfig.from_card(card["config"])
    return Model(card, config, Tokenizer(config), Dynamics(config))


def save(model: Model, folder: Path) -> None:
    """Writes what `load`, and the Rust side, read."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in parts(model):
        save_file(turned(module, module.state_dict()), folder / f"{name}.safetensors")
    (folder / "model.json").write_text(json.dumps(model.card, indent=2))


def parts(model: Model) -> list[tuple[str, nn.Module]]:
    """Networks and the names of their files."""
    return [("tokenizer", model.tokenizer), ("dynamics", model.dynamics)]


def turned(module: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Linear weights transposed: the files have `[input, output]`, PyTorch has `[output, input]`."""
    linear = {f"{name}.weight" for name, part in module.named_modules() if isinstance(part, nn.Linear)}
    return {
        name: (tensor.T if name in linear else tensor).detach().cpu().contiguous().to(torch.float32)
        for name, tensor in state.items()
    }
