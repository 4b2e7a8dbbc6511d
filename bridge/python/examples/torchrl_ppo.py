"""PPO by TorchRL on either engine (needs `pip install torchrl`).

    python bridge/python/examples/torchrl_ppo.py --env-id CartPole-v0 --steps 100000
    python bridge/python/examples/torchrl_ppo.py --env-id CatchBehindScreen-v0 --engine dream --obs state

TorchRL's own `GymWrapper` takes a vector of Worldstep's that leaves resets to its caller (DISABLED
autoreset), and its collector resets the environments that have ended, by mask. Prints one JSON object: the
mean return of the last episodes, how many there were, and the steps taken.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque

import numpy as np
import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import Compose, GymWrapper, RewardSum, ToTensorImage, TransformedEnv
from torchrl.modules import (
    MLP,
    ConvNet,
    NormalParamExtractor,
    ProbabilisticActor,
    TanhNormal,
    ValueOperator,
)
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import worldstep


def parse_arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env-id", default="CartPole-v0", choices=worldstep.TASKS)
    parser.add_argument("--engine", default="truth", choices=("truth", "dream"))
    parser.add_argument(
        "--obs", default=None, choices=("state", "rgb"), help="state of truth, rgb of a dream"
    )
    parser.add_argument("--steps", type=int, default=100_000, help="steps of all environments together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-envs", type=int, default=16)
    parser.add_argument("--rollout", type=int, default=64, help="steps of each environment between updates")
    parser.add_argument("--epochs", type=int, default=4, help="passes over what a rollout brought")
    parser.add_argument("--minibatch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    return parser.parse_args(given)


def environments(arguments: argparse.Namespace) -> TransformedEnv:
    """The vector as TorchRL sees it: pixels channels first and from 0 to 1, and the return so far."""
    envs = worldstep.make_vec(
        arguments.env_id,
        arguments.num_envs,
        engine=arguments.engine,
        obs=arguments.obs,
        autoreset_mode=worldstep.AutoresetMode.DISABLED,
    )
    wrapped = GymWrapper(envs, categorical_action_encoding=True)
    pixels = envs.single_observation_space.dtype == np.uint8
    scale = [ToTensorImage(in_keys=["observation"])] if pixels else []
    env = TransformedEnv(wrapped, Compose(*scale, RewardSum()))
    env.set_seed(arguments.seed)
    return env


def network(shape: torch.Size, outputs: int) -> nn.Sequential:
    """Two layers, behind convolutions if what comes in are pixels."""
    eye, width = [], shape[-1]
    if len(shape) == 3:
        eye = [ConvNet(3, num_cells=[16, 32], kernel_sizes=[8, 4], strides=[4, 2], activation_class=nn.ReLU)]
        width = 32 * 6 * 6
    head = MLP(width, outputs, num_cells=[64, 64], activation_class=nn.Tanh)
    # The policy starts near chance.
    nn.init.orthogonal_(head[-1].weight, 0.01)
    return nn.Sequential(*eye, head)


def policy_and_critic(env: TransformedEnv) -> tuple[ProbabilisticActor, ValueOperator]:
    """Two networks: a distribution over actions, and the value."""
    seen, action = env.observation_spec_unbatched["observation"].shape, env.action_spec_unbatched
    if action.dtype == torch.int64:
        told, keys = network(seen, action.space.n), ["logits"]
        chosen = {"distribution_class": torch.distributions.Categorical}
    else:
        told = nn.Sequential(network(seen, 2 * action.shape[-1]), NormalParamExtractor())
        keys = ["loc", "scale"]
        bounds = {"low": action.space.low, "high": action.space.high}
        chosen = {"distribution_class": TanhNormal, "distribution_kwargs": bounds}
    parameters = TensorDictModule(told, in_keys=["observation"], out_keys=keys)
    actor = ProbabilisticActor(parameters, spec=action, in_keys=keys, return_log_prob=True, **chosen)
    return actor, ValueOperator(network(seen, 1), in_keys=["observation"])


def train(arguments: argparse.Namespace) -> dict[str, float]:
    """Trains, and tells how it went."""
    torch.manual_seed(arguments.seed)
    env = environments(arguments)
    actor, critic = policy_and_critic(env)
    advantage = GAE(gamma=0.99, lmbda=0.95, value_network=critic, average_gae=True)
    objective = ClipPPOLoss(actor, critic, clip_epsilon=0.2, entropy_coeff=0.003, critic_coeff=0.5)
    optimizer = torch.optim.Adam(objective.parameters(), lr=arguments.rate, eps=1e-5)
    size = arguments.num_envs * arguments.rollout
    total = max(1, arguments.steps // size) * size
    collector = Collector(
        env, actor, frames_per_batch=size, total_frames=total, auto_register_policy_transforms=False
    )
    last, episodes, steps = deque[float](maxlen=100), 0, 0
    for batch in collector:
        steps += batch.numel()
        returns = batch["next", "episode_reward"][batch["next", "done"]]
        episodes += len(returns)
        last.extend(returns.tolist())
        for _ in range(arguments.epochs):
            with torch.no_grad():
                advantage(batch)
            flat = batch.reshape(-1)
            for part in torch.randperm(len(flat)).split(arguments.minibatch):
                losses = objective(flat[part])
                loss = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(objective.parameters(), 0.5)
                optimizer.step()
        mean = float(np.mean(last)) if last else float("nan")
        print(f"{steps:9d} steps  return {mean:8.2f}", file=sys.stderr, flush=True)
    collector.shutdown()
    return {"return": mean, "episodes": episodes, "steps": steps}


if __name__ == "__main__":
    print(json.dumps(train(parse_arguments())))
