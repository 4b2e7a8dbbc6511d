"""Proximal policy optimisation in one file, on either engine (needs PyTorch).

    python bridge/python/examples/ppo.py --task CartPole-v0 --target 400
    python bridge/python/examples/ppo.py --task CatchBehindScreen-v0 --engine dream --obs state --target 0.5

The algorithm is that of Schulman et al. (2017, https://arxiv.org/abs/1707.06347), its details those of
"The 37 implementation details of PPO"
(https://iclr-blog-track.github.io/2022/03/25/ppo-implementation-details/). Training ends when the mean return
of the last episodes reaches --target (status 0), or after --steps (status 1 if there is a target).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

import worldstep

EPISODES = 100
"""Episodes whose mean return is told."""


def parse_arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="CartPole-v0")
    parser.add_argument("--engine", default="truth", choices=("truth", "dream"))
    parser.add_argument(
        "--obs", default=None, choices=("state", "rgb"), help="state of truth, rgb of a dream"
    )
    parser.add_argument("--model", default=None, help="folder of the dream's weights; the shipped ones")
    parser.add_argument("--address", default=None, help="of a running server; a private one otherwise")
    parser.add_argument("--steps", type=int, default=1_000_000, help="steps of all environments together")
    parser.add_argument("--target", type=float, default=None, help="mean return at which to stop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--rollout", type=int, default=64, help="steps of each environment between updates")
    parser.add_argument("--epochs", type=int, default=4, help="passes over what a rollout brought")
    parser.add_argument("--minibatches", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate, falling to 0 over --steps")
    parser.add_argument("--gamma", type=float, default=0.99)
    parser.add_argument("--gae-lambda", type=float, default=0.95)
    parser.add_argument("--clip", type=float, default=0.2)
    parser.add_argument("--entropy", type=float, default=0.003)
    parser.add_argument("--threads", type=int, default=None, help="threads of PyTorch")
    parser.add_argument("--save", default=None, help="file for the policy's weights")
    return parser.parse_args(given)


def layer(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    """A linear layer with orthogonal weights."""
    made = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(made.weight, gain)
    nn.init.zeros_(made.bias)
    return made


class Scaler:
    """Running mean and deviation of observations; pixels are only scaled to 0..1."""

    def __init__(self, space: spaces.Box) -> None:
        self.pixels = space.dtype == np.uint8
        self.count, self.mean, self.square = 1e-4, np.zeros(space.shape), np.ones(space.shape)

    def __call__(self, observations: np.ndarray) -> torch.Tensor:
        """Scales observations, and learns from them how."""
        if self.pixels:
            # Height, width, channels to channels first.
            return torch.as_tensor(observations).permute(0, 3, 1, 2).float() / 255.0
        self.count += len(observations)
        share = len(observations) / self.count
        self.mean += (observations.mean(0) - self.mean) * share
        self.square += (np.square(observations - self.mean).mean(0) - self.square) * share
        scaled = (observations - self.mean) / np.sqrt(self.square + 1e-8)
        return torch.as_tensor(scaled.clip(-10, 10), dtype=torch.float32)


class Agent(nn.Module):
    """Policy and value, each a network of its own; with pixels both look through the same convolutions."""

    def __init__(self, observed: spaces.Box, action: spaces.Space) -> None:
        super().__init__()
        self.discrete = isinstance(action, spaces.Discrete)
        outputs = int(action.n) if self.discrete else int(np.prod(action.shape))
        if observed.dtype == np.uint8:
            self.eye = nn.Sequential(
                *(nn.Conv2d(3, 16, 8, 4), nn.ReLU(), nn.Conv2d(16, 32, 4, 2), nn.ReLU()),
                *(nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Flatten(), layer(32 * 4 * 4, 128), nn.ReLU()),
            )
            width = 128
        else:
            self.eye, width = nn.Flatten(), int(np.prod(observed.shape))
        self.policy = nn.Sequential(
            layer(width, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, outputs, 0.01)
        )
        self.critic = nn.Sequential(layer(width, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, 1, 1.0))
        self.log_std = nn.Parameter(torch.full((outputs,), -0.5))

    def forward(self, observations: torch.Tensor) -> tuple[torch.distributions.Distribution, torch.Tensor]:
        """The distribution of actions, and the value."""
        seen = self.eye(observations)
        told = self.policy(seen)
        if self.discrete:
            actions: torch.distributions.Distribution = torch.distributions.Categorical(logits=told)
        else:
            normal = torch.distributions.Normal(told, self.log_std.exp())
            actions = torch.distributions.Independent(normal, 1)
        return actions, self.critic(seen).squeeze(-1)


class Returns:
    """Returns of the last episodes."""

    def __init__(self, num_envs: int) -> None:
        self.sums, self.last = np.zeros(num_envs), deque[float](maxlen=EPISODES)

    def add(self, rewards: np.ndarray, done: np.ndarray) -> None:
        """Counts one step."""
        self.sums += rewards
        self.last.extend(self.sums[done].tolist())
        self.sums[done] = 0.0

    def mean(self) -> float:
        """NaN before an episode has ended."""
        return float(np.mean(self.last)) if self.last else float("nan")

    def reach(self, target: float | None) -> bool:
        """Whether as many episodes as are told of have this mean."""
        return target is not None and len(self.last) == EPISODES and self.mean() >= target


def advantages(
    rewards: torch.Tensor, values: torch.Tensor, following: torch.Tensor, ends: tuple, factors: tuple
) -> torch.Tensor:
    """Generalised advantage estimation (https://arxiv.org/abs/1506.02438); all are steps x environments.

    `following` is the value of the state that a step led to, also where an episode is cut off there.
    """
    (terminated, done), (gamma, lam) = ends, factors
    found, carried = torch.zeros_like(rewards), torch.zeros(rewards.shape[1])
    for t in reversed(range(len(rewards))):
        error = rewards[t] + gamma * following[t] * ~terminated[t] - values[t]
        carried = error + gamma * lam * carried * ~done[t]
        found[t] = carried
    return found


def train(arguments: argparse.Namespace) -> dict[str, float | bool]:
    """Trains, and tells how it went."""
    torch.manual_seed(arguments.seed)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    n, length = arguments.num_envs, arguments.rollout
    envs = worldstep.make_vec(
        *(arguments.task, n),
        **{name: getattr(arguments, name) for name in ("engine", "obs", "model", "address")},
    )
    space = envs.single_action_space
    agent, scale = Agent(envs.single_observation_space, space), Scaler(envs.single_observation_space)
    optimizer = torch.optim.Adam(agent.parameters(), lr=arguments.rate, eps=1e-5)
    returns, start, taken = Returns(n), time.perf_counter(), 0
    raw, _ = envs.reset(seed=arguments.seed)
    seen, restarts = scale(raw), np.zeros(n, dtype=bool)
    updates = max(1, arguments.steps // (n * length))
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = arguments.rate * (1 - update / updates)
        rows: dict[str, list[torch.Tensor]] = {}
        for _ in range(length):
            with torch.no_grad():
                policy, value = agent(seen)
                action = policy.sample()
            chosen = action.numpy()
            if not agent.discrete:
                chosen = chosen.clip(space.low, space.high)
            raw, rewards, terminated, truncated, _ = envs.step(chosen)
            done = terminated | truncated
            # An environment that ended in the step before has only begun anew in this one.
            row = {"seen": seen, "action": action, "log_prob": policy.log_prob(action), "value": value}
            row |= {
                "used": torch.as_tensor(~restarts),
                "reward": torch.as_tensor(rewards, dtype=torch.float32),
            }
            row |= {"terminated": torch.as_tensor(terminated), "done": torch.as_tensor(done | restarts)}
            returns.add(rewards, done)
            seen, restarts = scale(raw), done
            with torch.no_grad():
                row["following"] = agent(seen)[1]
            for name, column in row.items():
                rows.setdefault(name, []).append(column)
        taken += n * length
        batch = {name: torch.stack(column) for name, column in rows.items()}
        ends = (batch["terminated"], batch["done"])
        factors = (arguments.gamma, arguments.gae_lambda)
        gained = advantages(batch["reward"], batch["value"], batch["following"], ends, factors)
        batch |= {"gained": gained, "target": gained + batch["value"]}
        learn(agent, optimizer, {name: column[batch["used"]] for name, column in batch.items()}, arguments)
        mean, pace = returns.mean(), taken / (time.perf_counter() - start)
        print(f"{taken:9d} steps  return {mean:8.2f}  {pace:7.0f} steps/s", file=sys.stderr, flush=True)
        if returns.reach(arguments.target):
            break
    envs.close()
    if arguments.save:
        torch.save(agent.state_dict(), arguments.save)
    seconds, reached = time.perf_counter() - start, returns.reach(arguments.target)
    return {"return": returns.mean(), "reached": reached, "steps": taken, "seconds": seconds}


def learn(
    agent: Agent,
    optimizer: torch.optim.Optimizer,
    batch: dict[str, torch.Tensor],
    arguments: argparse.Namespace,
) -> None:
    """Moves the agent by the clipped objective over some passes of a batch of single steps."""
    size = -(-len(batch["reward"]) // arguments.minibatches)
    for _ in range(arguments.epochs):
        for part in torch.randperm(len(batch["reward"])).split(size):
            policy, value = agent(batch["seen"][part])
            ratio = (policy.log_prob(batch["action"][part]) - batch["log_prob"][part]).exp()
            gained = batch["gained"][part]
            gained = (gained - gained.mean()) / (gained.std() + 1e-8)
            clipped = ratio.clamp(1 - arguments.clip, 1 + arguments.clip)
            loss = -torch.minimum(gained * ratio, gained * clipped).mean()
            loss = loss + 0.5 * (value - batch["target"][part]).square().mean()
            loss = loss - arguments.entropy * policy.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()


def main() -> None:
    """Trains and prints one JSON object."""
    arguments = parse_arguments()
    result = train(arguments)
    print(json.dumps(result))
    if arguments.target is not None and not result["reached"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
