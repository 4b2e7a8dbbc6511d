"""PPO by RLlib on either engine (needs `pip install 'ray[rllib]' torch`).

    python bridge/python/examples/rllib_ppo.py --env-id CartPole-v0 --steps 100000
    python bridge/python/examples/rllib_ppo.py --env-id CatchBehindScreen-v0 --engine dream --obs state

Each environment runner of RLlib holds one vector of environments, which Gymnasium makes by name; its
private server steps them together. Prints one JSON object: the mean return of the last ten updates'
episodes, how many there were, and the steps taken.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque

import numpy as np
import ray
from gymnasium import VectorizeMode, spaces
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.connectors.env_to_module import MeanStdFilter
from ray.rllib.connectors.env_to_module.observation_preprocessor import SingleAgentObservationPreprocessor
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

import worldstep  # registers the tasks with Gymnasium


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
    parser.add_argument("--runners", type=int, default=0, help="processes that step, 0: this one")
    parser.add_argument("--num-envs", type=int, default=32, help="environments of each runner")
    parser.add_argument("--rollout", type=int, default=64, help="steps of each environment between updates")
    return parser.parse_args(given)


class UnitPixels(SingleAgentObservationPreprocessor):
    """Turns bytes into floats from 0 to 1."""

    def recompute_output_observation_space(
        self, input_observation_space: spaces.Box, input_action_space: spaces.Space
    ) -> spaces.Box:
        """The space of what `preprocess` gives."""
        return spaces.Box(0.0, 1.0, input_observation_space.shape, np.float32)

    def preprocess(self, observation: np.ndarray, episode: SingleAgentEpisode) -> np.ndarray:
        """Scales one frame."""
        return np.asarray(observation, dtype=np.float32) / 255.0


def build(arguments: argparse.Namespace) -> PPO:
    """Sets the algorithm up."""
    obs = arguments.obs or ("rgb" if arguments.engine == "dream" else "state")
    batch = max(arguments.runners, 1) * arguments.num_envs * arguments.rollout
    scale = UnitPixels if obs == "rgb" else MeanStdFilter
    config = (
        PPOConfig()
        .environment(f"worldstep/{arguments.env_id}", env_config={"engine": arguments.engine, "obs": obs})
        .env_runners(
            num_env_runners=arguments.runners,
            num_envs_per_env_runner=arguments.num_envs,
            rollout_fragment_length=arguments.rollout,
            # Not one process an environment: the vector that `worldstep` has registered.
            gym_env_vectorize_mode=VectorizeMode.VECTOR_ENTRY_POINT,
            env_to_module_connector=lambda env, spaces, device: scale(),
        )
        .training(
            train_batch_size_per_learner=batch,
            minibatch_size=min(128, batch),
            num_epochs=6,
            lr=1e-3,
            gamma=0.99,
            lambda_=0.95,
            clip_param=0.2,
            entropy_coeff=0.003,
            vf_loss_coeff=0.5,
            vf_clip_param=float("inf"),
            use_kl_loss=False,
            grad_clip=0.5,
        )
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64, 64], fcnet_activation="tanh"))
        .debugging(seed=arguments.seed, log_level="ERROR")
    )
    return config.build_algo()


def train(arguments: argparse.Namespace) -> dict[str, float]:
    """Trains, and tells how it went."""
    algorithm = build(arguments)
    told: dict[str, float] = {"return": float("nan"), "episodes": 0, "steps": 0}
    # RLlib's own mean is that of few episodes.
    means = deque[float](maxlen=10)
    while told["steps"] < arguments.steps:
        found = algorithm.train()[ENV_RUNNER_RESULTS]
        means.append(float(found.get("episode_return_mean", float("nan"))))
        told = {
            "return": float(np.nanmean(means)) if not np.isnan(means).all() else float("nan"),
            "episodes": int(found.get("num_episodes_lifetime", 0)),
            "steps": int(found[NUM_ENV_STEPS_SAMPLED_LIFETIME]),
        }
        print("{steps:9d} steps  return {return:8.2f}".format(**told), file=sys.stderr, flush=True)
    algorithm.stop()
    return told


def main() -> None:
    """Trains and prints one JSON object."""
    arguments = parse_arguments()
    ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    print(json.dumps(train(arguments)))
    ray.shutdown()


if __name__ == "__main__":
    main()
