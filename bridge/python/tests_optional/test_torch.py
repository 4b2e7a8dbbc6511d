"""Observations as tensors, in an environment that has PyTorch (`make test-torchrl`)."""

from __future__ import annotations

import json
import subprocess

import jax
import numpy as np
import pytest
import torch
import torch.multiprocessing
from forms import FORMS

import worldstep
from worldstep import AutoresetMode, private_server
from worldstep.card import STAND_IN
from worldstep.torch import TensorVectorEnv


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("engine", "obs"), FORMS)
def test_from_numpy_shares_what_a_step_gives(engine: str, obs: str) -> None:
    envs = worldstep.make_vec("CatchBehindScreen-v0", 2, engine=engine, obs=obs)
    first, _ = envs.reset(seed=0)
    results = envs.step(envs.action_space.sample())
    for array in (first, *results[:4]):
        # A warning, hence an error, if the array were not writable.
        tensor = torch.from_numpy(array)
        assert tensor.data_ptr() == array.ctypes.data
        assert tensor.is_contiguous() and array.ctypes.data % array.itemsize == 0
    shared, kept = torch.from_numpy(first), first.copy()
    envs.step(envs.action_space.sample())
    np.testing.assert_array_equal(shared.numpy(), kept, "a later step has written into it")
    envs.close()


@pytest.fixture
def pair():
    """The same environments twice: as tensors and as arrays."""
    plain, wrapped = (
        worldstep.make_vec("CartPole-v0", 4, autoreset_mode=AutoresetMode.DISABLED) for _ in range(2)
    )
    envs = TensorVectorEnv(wrapped)
    yield envs, plain
    envs.close()
    plain.close()


def test_tensors_hold_what_the_arrays_hold(pair) -> None:
    envs, plain = pair
    observations, _ = envs.reset(seed=3)
    np.testing.assert_array_equal(observations.numpy(), plain.reset(seed=3)[0])
    plain.action_space.seed(3)
    for _ in range(60):
        actions = plain.action_space.sample()
        *tensors, infos = envs.step(torch.from_numpy(actions))
        *arrays, expected = plain.step(actions)
        for tensor, array in zip(tensors, arrays, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), array.astype(tensor.numpy().dtype))
        assert infos.keys() == expected.keys()
        done = tensors[2] | tensors[3]
        if done.any():
            observations, _ = envs.reset(options={"reset_mask": done})
            again, _ = plain.reset(options={"reset_mask": done.numpy()})
            np.testing.assert_array_equal(observations.numpy(), again)


def test_tensors_keep_their_address_and_their_kind(pair) -> None:
    envs, _ = pair
    addresses = set()
    envs.reset(seed=0)
    for _ in range(3):
        *tensors, _ = envs.step(torch.zeros(4, 1))
        addresses.add(tuple(tensor.data_ptr() for tensor in tensors))
        assert all(
            tensor.is_pinned() if torch.cuda.is_available() else tensor.is_shared() for tensor in tensors
        )
    assert len(addresses) == 1


def see(
    observations: torch.Tensor, steps: torch.multiprocessing.Queue, seen: torch.multiprocessing.Queue
) -> None:
    """Another process: tells what is in the tensor after each step."""
    while steps.get():
        seen.put(observations.tolist())


@pytest.mark.skipif(torch.cuda.is_available(), reason="with CUDA the tensors are page-locked, not shared")
def test_another_process_sees_each_step_in_place(pair) -> None:
    envs, _ = pair
    context = torch.multiprocessing.get_context("spawn")
    steps, seen = context.Queue(), context.Queue()
    reader = context.Process(target=see, args=(envs.observations, steps, seen))
    reader.start()
    envs.reset(seed=0)
    told = []
    for _ in range(3):
        observations, *_ = envs.step(torch.ones(4, 1))
        steps.put(True)
        told.append(seen.get(timeout=60))
        assert told[-1] == observations.tolist()
    steps.put(False)
    reader.join(60)
    assert reader.exitcode == 0
    assert told[0] != told[2]


@pytest.mark.parametrize("device", ["cpu", STAND_IN])
def test_from_dlpack_shares_what_a_step_gives(device: str) -> None:
    envs = worldstep.make_vec("CatchBehindScreen-v0", 2, obs="rgb", device=device)
    observations, _ = envs.reset(seed=0)
    tensor, again = torch.from_dlpack(observations), jax.dlpack.from_dlpack(observations)
    address = np.asarray(observations).ctypes.data
    assert tensor.data_ptr() == address and tensor.shape == (2, 64, 64, 3) and tensor.is_contiguous()
    # Not all of JAX's own arrays may begin there; their numbers are the same in any case.
    np.testing.assert_array_equal(tensor.numpy(), np.asarray(again))
    envs.close()


def test_actions_on_the_card_may_be_tensors() -> None:
    seen = []
    for device, given in ((STAND_IN, torch.from_numpy), ("cpu", np.asarray)):
        envs = worldstep.make_vec("CatchBehindScreen-v0", 4, obs="rgb", device=device)
        envs.reset(seed=1)
        envs.action_space.seed(2)
        for _ in range(4):
            observations, rewards, *_ = envs.step(given(envs.action_space.sample()))
        seen.append((np.array(observations), rewards))
        envs.close()
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    np.testing.assert_array_equal(seen[0][1], seen[1][1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: frames on a card are not compared")
def test_frames_on_the_card_are_those_of_host_memory() -> None:
    """Needs `worldstep` with CUDA (`make cuda`); one server dreams for both."""
    command = [private_server.find_binary(), "serve", "--bind", "tcp://127.0.0.1:0", "--json"]
    command += ["--exit-with-stdin", "--drain-s", "0", "--device", "cuda:0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        address = json.loads(process.stdout.readline())["address"]
        on_card, in_host_memory = (
            worldstep.make_vec("CatchBehindScreen-v0", 64, engine="dream", device=device, address=address)
            for device in ("cuda:0", "cpu")
        )
        assert on_card.device == "cuda:0"
        first, _ = on_card.reset(seed=0)
        expected, _ = in_host_memory.reset(seed=0)
        np.testing.assert_array_equal(torch.from_dlpack(first).cpu().numpy(), expected)
        for _ in range(2 * on_card.max_episode_steps):
            actions = in_host_memory.action_space.sample()
            frames, rewards, *_ = on_card.step(torch.from_numpy(actions).cuda())
            expected, expected_rewards, *_ = in_host_memory.step(actions)
            assert torch.from_dlpack(frames).device == torch.device("cuda:0")
            np.testing.assert_array_equal(torch.from_dlpack(frames).cpu().numpy(), expected)
            np.testing.assert_array_equal(rewards, expected_rewards)
        on_card.close()
        in_host_memory.close()
        process.stdin.close()


def test_what_is_no_tensor_is_refused(pair) -> None:
    envs, _ = pair
    envs.reset(seed=0)
    with pytest.raises(worldstep.InvalidAction, match="ndarray, expected a tensor"):
        envs.step(np.zeros((4, 1), dtype=np.float32))
    with pytest.raises(worldstep.InvalidAction, match="shape"):
        envs.step(torch.zeros(3, 1))
