"""Observations as tensors, in an environment that has PyTorch (`make test-torchrl`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.multiprocessing
from forms import FORMS

import worldstep
from worldstep import AutoresetMode
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


def test_what_is_no_tensor_is_refused(pair) -> None:
    envs, _ = pair
    envs.reset(seed=0)
    with pytest.raises(worldstep.InvalidAction, match="ndarray, expected a tensor"):
        envs.step(np.zeros((4, 1), dtype=np.float32))
    with pytest.raises(worldstep.InvalidAction, match="shape"):
        envs.step(torch.zeros(3, 1))
