"""Rollouts of a policy in PyTorch whose observations never leave the card, beside those through host memory.

Both take turns in one run: the dream's frames stay where they are dreamt (`device="cuda:0"`), or go through
shared memory and up to the card again. The policy is a small convolutional network that has learned nothing;
it is the same for both. One row for each number of environments and each way, and their ratio:

    .venv-reference/bin/python examples/gpu/on_card_rollouts.py --device cuda:0 --envs 64,1024,4096 --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import Any

import torch
import worldstep
from worldstep.private_server import PrivateServer

ROUNDS = 3
WARM_UP_STEPS = 5
PEER = "observations through host memory"


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="CatchBehindScreen-v0")
    parser.add_argument("--model", help="folder of the model; the shipped weights if it is not given")
    parser.add_argument("--device", default="cuda:0", help="where dream and policy are: cuda:N, or cpu")
    parser.add_argument("--envs", default="64,1024,4096", help="numbers of environments")
    parser.add_argument("--seconds", type=float, default=2.0, help="time of each turn")
    parser.add_argument("--json", action="store_true", help="one JSON object, as the benches print")
    arguments = parser.parse_args()
    if not arguments.seconds > 0:
        parser.error(f"--seconds is {arguments.seconds:g}, expected a number above 0")
    try:
        arguments.envs = [int(envs) for envs in arguments.envs.split(",")]
    except ValueError:
        parser.error(f"--envs is {arguments.envs!r}, expected numbers such as 64,1024")
    return arguments


class Policy(torch.nn.Module):
    """Frames to actions: three convolutions and a linear layer; one number an action value, or a choice."""

    def __init__(self, side: int, space: Any) -> None:
        """For frames of `side` pixels a side and the batched action space `space`."""
        super().__init__()
        self.discrete = hasattr(space, "nvec")
        outputs = int(space.nvec[0]) if self.discrete else int(space.shape[1])
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 8, stride=4),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 4, stride=2),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
        )
        with torch.no_grad():
            features = self.net(torch.zeros(1, 3, side, side)).shape[1]
        self.head = torch.nn.Linear(features, outputs)

    @torch.no_grad()
    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Actions for `[environments, side, side, 3]` frames of bytes."""
        outputs = self.head(self.net(frames.permute(0, 3, 1, 2).float() / 255))
        return outputs.argmax(1) if self.discrete else outputs.tanh().contiguous()


class Rollouts:
    """Environments and the policy, stepped one way or the other."""

    def __init__(self, arguments: argparse.Namespace, address: str, num_envs: int, place: str) -> None:
        """Starts episodes at the server `address`, with frames in the memory of `place`."""
        self.device = torch.device(arguments.device)
        self.envs = worldstep.make_vec(
            arguments.task, num_envs, engine="dream", address=address, device=place
        )
        side = self.envs.single_observation_space.shape[0]
        torch.manual_seed(0)
        self.policy = Policy(side, self.envs.action_space).to(self.device)
        self.dtype = torch.from_numpy(self.envs.action_space.sample()).dtype
        if place.startswith("cuda") and not self.is_on_card():
            self.envs.close()
            sys.exit("on_card_rollouts: frames do not stay on the card, so there is nothing to compare")
        self.observations, _ = self.envs.reset(seed=0)
        self.steps(count=WARM_UP_STEPS)

    def steps(self, seconds: float = 0.0, count: int = 0) -> float:
        """Environment steps a second, over so much time or so many steps."""
        start, done = time.perf_counter(), 0
        while done < count or time.perf_counter() - start < seconds:
            frames = torch.from_dlpack(self.observations).to(self.device, non_blocking=True)
            actions = self.policy(frames).to(self.dtype)
            given = actions if self.is_on_card() else actions.cpu().numpy()
            self.observations = self.envs.step(given)[0]
            done += 1
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return done * self.envs.num_envs / (time.perf_counter() - start)

    def is_on_card(self) -> bool:
        """Whether the frames really stay on the card: a server that cannot keep them there has said so."""
        return self.envs.device.startswith("cuda")

    def close(self) -> None:
        """Ends the session."""
        self.envs.close()


def measure(arguments: argparse.Namespace, address: str, num_envs: int) -> list[dict[str, Any]]:
    """The rows of one number of environments."""
    ways = [Rollouts(arguments, address, num_envs, place) for place in (arguments.device, "cpu")]
    try:
        rates = [[way.steps(seconds=arguments.seconds) for way in ways] for _ in range(ROUNDS)]
        place = ways[0].envs.device
    finally:
        for way in ways:
            way.close()
    case = {
        "task": arguments.task,
        "engine": "dream",
        "obs": "rgb",
        "envs": num_envs,
        "device": arguments.device,
        "observations_on": place,
        "turns": ROUNDS,
    }
    on_card, through_host = zip(*rates, strict=True)
    ratios = [ours / theirs for ours, theirs in rates]
    found = [
        ("env_steps_per_s", statistics.median(on_card), "env-steps/s", None),
        ("env_steps_per_s", statistics.median(through_host), "env-steps/s", PEER),
        ("env_steps_per_s_ratio", statistics.median(ratios), "times", PEER),
    ]
    keys = ("metric", "value", "unit", "peer")
    return [{"case": case, **dict(zip(keys, row, strict=True))} for row in found]


def main() -> None:
    """Measures each number of environments."""
    arguments = parse_arguments()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit(f"on_card_rollouts: this PyTorch finds no {arguments.device}; choose --device cpu")
    name = torch.cuda.get_device_name(arguments.device) if arguments.device.startswith("cuda") else "cpu"
    rows = []
    server = PrivateServer(arguments.model, device=arguments.device)
    try:
        for num_envs in arguments.envs:
            for row in measure(arguments, server.address, num_envs):
                rows.append(row)
                told = f"{row['metric']} {row['value']:,.2f} {row['unit']}, {num_envs} environments"
                print(told + (f", {row['peer']}" if row["peer"] else ""), file=sys.stderr, flush=True)
    finally:
        server.stop()
    if arguments.json:
        print(json.dumps({"machine": {"device": name, "torch": torch.__version__}, "rows": rows}))


if __name__ == "__main__":
    main()
