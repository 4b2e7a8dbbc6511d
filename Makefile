# make demo · make test · make cuda · make bench · make docs
#
# Each target sets up what it needs (system packages, Python environment, build), says what it installs, and does
# nothing twice. The target folder is shared by all clones of one machine; see setup/in-target-folder.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/worldstep/target
PYTHON ?= python3
CARGO := setup/in-target-folder cargo
VENV := .venv
BIN := $(CARGO_TARGET_DIR)/debug
MODEL_MINUTES ?= 36
# `release` for a wheel to publish: it takes far longer to build.
WHEEL_PROFILE ?= dev
FUZZ_SECONDS ?= 600
export SOAK_MINUTES ?= 10
# Optional groups have environments of their own, and use the command that the main one has.
OPTIONAL_VENVS := .venv-lerobot .venv-export .venv-ray .venv-sb3 .venv-reference .venv-mujoco \
    .venv-gpu .venv-pythons .venv-maturin .venv-envpool .venv-torchrl .venv-rllib
OPTIONAL := WORLDSTEP_BIN="$(CURDIR)/$(VENV)/bin/worldstep"

.PHONY: help setup system venv build wheel test test-rust test-python test-lerobot test-export test-ray test-sb3 test-torchrl test-rllib test-pythons test-wheel test-reference test-mujoco reference soak fuzz fuzz-smoke lint demo nano cuda gpu-report test-kernels cuda-check bench bench-peers docs clean

help:
	@sed -n 's/^## //p' Makefile

setup: system venv

system:
	@setup/system-packages

venv: system
	@setup/python-environment "$(PYTHON)" "$(VENV)"

build: setup
	setup/in-target-folder sh -c 'cargo build --workspace --bins --examples && \
	    cp --remove-destination "$(BIN)/worldstep" $(VENV)/bin/worldstep'

## make demo     fresh clips, two minutes of training, evaluation, both engines through the bridge: out/demo/report.html
demo: build
	$(VENV)/bin/python examples/demo/demo.py --out out/demo

## make test     formatting, all Rust and Python tests, the examples, the GPU's kernels on the processor, four minutes of fuzzing
test: build test-rust test-kernels test-python fuzz-smoke

test-rust: setup
	cargo fmt --all --check
	$(CARGO) test --workspace

test-python: build
	$(VENV)/bin/ruff check bridge/python examples model/reference
	$(VENV)/bin/python -m pytest -q bridge/python/tests

## make test-lerobot   opens fresh datasets with the `lerobot` package (its own environment, CPU torch, no network)
test-lerobot: build
	@setup/python-environment "$(PYTHON)" .venv-lerobot test-lerobot
	$(OPTIONAL) HF_HUB_OFFLINE=1 .venv-lerobot/bin/python -m pytest -q bridge/python/tests_optional/test_lerobot.py

## make test-export    reads exports back with `webdataset` and Rerun (their own environment)
test-export: build
	@setup/python-environment "$(PYTHON)" .venv-export test-export
	$(OPTIONAL) WORLDSTEP_PYTHON=$(CURDIR)/.venv-export/bin/python .venv-export/bin/python -m pytest -q bridge/python/tests_optional/test_export.py

## make test-ray       records on a local Ray cluster and kills one of its nodes (its own environment)
test-ray: build
	@setup/python-environment "$(PYTHON)" .venv-ray test-cluster
	$(OPTIONAL) .venv-ray/bin/python -m pytest -q bridge/python/tests_optional/test_cluster.py

## make test-sb3     Stable-Baselines3's checker and PPO, and the PPO example, on both engines (their own environment, CPU torch)
test-sb3: build
	@setup/python-environment "$(PYTHON)" .venv-sb3 test-sb3
	$(OPTIONAL) .venv-sb3/bin/python -m pytest -q bridge/python/tests_optional/test_sb3.py \
	    bridge/python/tests_optional/test_ppo.py

## make test-torchrl   PPO by TorchRL on both engines, tensors that steps are copied into or lie in, JAX too (their own environment, CPU torch)
test-torchrl: build
	@setup/python-environment "$(PYTHON)" .venv-torchrl test-torchrl
	$(OPTIONAL) .venv-torchrl/bin/python -m pytest -q bridge/python/tests_optional/test_torchrl.py bridge/python/tests_optional/test_on_card_rollouts.py \
	    bridge/python/tests_optional/test_torch.py

## make test-rllib     PPO by RLlib on both engines (its own environment, CPU torch)
test-rllib: build
	@setup/python-environment "$(PYTHON)" .venv-rllib test-rllib
	$(OPTIONAL) .venv-rllib/bin/python -m pytest -q bridge/python/tests_optional/test_rllib.py

## make test-pythons   the client on Python 3.10 to 3.13, as far as they are here, with the oldest and the latest packages
test-pythons: build
	@$(OPTIONAL) setup/test-pythons

## make wheel    client, `worldstep` command and shipped weights in one file: out/wheels (WHEEL_PROFILE=release to publish)
wheel: setup
	@setup/build-wheel "$(PYTHON)" "$(WHEEL_PROFILE)"

## make test-wheel     installs that one file into a fresh environment, and steps both engines away from here
test-wheel: wheel
	$(VENV)/bin/python -m pytest -q bridge/python/tests_optional/test_wheel.py

## make soak     a million random steps of each task, 10,000 steps of dreams, SOAK_MINUTES=10 of clients that come, crash and go
soak: setup
	WORLDSTEP_STEPS=1000000 $(CARGO) test -p worldstep-env --test memory -- --nocapture
	$(CARGO) test -p worldstep-model --test soak -- --ignored --nocapture
	$(CARGO) test -p worldstep-bridge --test dream_soak -- --ignored --nocapture
	$(CARGO) test -p worldstep-bridge --test session_soak -- --ignored --nocapture --exact sessions_come_and_go

## make test-mujoco  robots from MJCF against MuJoCo itself (its own environment)
test-mujoco: setup
	@setup/mujoco-environment "$(PYTHON)" .venv-mujoco
	$(CARGO) build -p worldstep-env --example robot_facts
	ROBOT_FACTS="$(BIN)/examples/robot_facts" \
	    .venv-mujoco/bin/python -m pytest -q -s --noconftest bridge/python/tests_optional/test_mujoco.py

reference: setup
	@setup/python-environment "$(PYTHON)" .venv-reference test-reference

## make test-reference the network in Rust against the same one in PyTorch, both ways (its own environment, CPU torch)
test-reference: build reference
	REFERENCE_FIXTURE="$(BIN)/examples/reference_fixture" PYTHONPATH=model \
	    .venv-reference/bin/python -m pytest -q model/reference/tests

## make lint     clippy, rustdoc and mypy with warnings as errors, the GPU's kernels among what they read
lint: setup
	$(CARGO) clippy --workspace --all-targets --features worldstep-model/kernels -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --features worldstep-model/kernels
	cd bridge/python && "$(CURDIR)/$(VENV)/bin/mypy"

## make fuzz     decoder, session machine, worlds with their states and robots' files under libFuzzer, FUZZ_SECONDS=600 each (fuzz-smoke: 60)
fuzz: setup
	setup/fuzz "$(FUZZ_SECONDS)"

fuzz-smoke: setup
	setup/fuzz 60

## make nano     trains weights of CatchBehindScreen-v0 for MODEL_MINUTES=36, as long as the shipped ones, into out/nano
nano: build
	$(VENV)/bin/worldstep synth --scenario CatchBehindScreen-v0 --clips 1500 --seed 100000 \
	    --channels rgb,depth,instance --out out/nano-data --resume
	$(VENV)/bin/worldstep train --data out/nano-data --out out/nano --preset nano --minutes $(MODEL_MINUTES) --resume

## make cuda     the `worldstep` command with CUDA (fetches LLVM from PyPI where GitHub is out of reach)
cuda: setup
	@setup/llvm-for-cuda "$(VENV)"
	$(CARGO) build --release -p worldstep-bridge --features cuda

## make gpu-report all that a GPU can answer, in stages of 9 minutes: numerics, kernels, renderer, clips, training, evaluation, dream and training beside PyTorch
gpu-report: cuda
	@TORCH=gpu setup/python-environment "$(PYTHON)" .venv-gpu test-reference
	$(PYTHON) examples/gpu/gpu_report.py --worldstep "$(CARGO_TARGET_DIR)/release/worldstep" --out out/gpu \
	    --peers .venv-gpu/bin/python

## make test-kernels the GPU's step engine, kernel for kernel, on CubeCL's processor runtime (links LLVM)
test-kernels: setup
	@setup/llvm-for-cuda "$(VENV)"
	$(CARGO) test -p worldstep-model --features kernels-on-cpu --lib cuda::
	$(CARGO) test -p worldstep-model --features kernels-on-cpu --test cuda_engine

cuda-check: setup
	@setup/llvm-for-cuda "$(VENV)"
	$(CARGO) check -p worldstep-bridge --features cuda

## make bench    steps and views a second of both engines, alone and through the bridge
bench: build
	$(VENV)/bin/worldstep bench env
	$(VENV)/bin/worldstep bench render
	$(VENV)/bin/worldstep bench dream
	$(VENV)/bin/worldstep bench bridge

## make bench-peers  tasks and bridge beside EnvPool and Gymnasium, the renderer beside MuJoCo's, the dream beside PyTorch, each in an environment of its own
bench-peers: build reference
	@setup/mujoco-environment "$(PYTHON)" .venv-mujoco
	@setup/python-environment "$(PYTHON)" .venv-envpool bench-envpool
	$(VENV)/bin/worldstep bench env --peers
	$(VENV)/bin/worldstep bench render --peers
	$(VENV)/bin/worldstep bench dream --peers
	$(VENV)/bin/worldstep bench train --seconds 60 --peers
	$(VENV)/bin/worldstep bench bridge --peers

## make docs     the API documentation, and the pages of the tasks with their pictures
docs: setup
	$(CARGO) doc --workspace --no-deps
	$(CARGO) run -p worldstep-examples --example task_pages

## make clean    removes what this clone made (not the shared target folder)
clean:
	rm -rf out $(VENV) $(OPTIONAL_VENVS)
	rm -rf bridge/python/*.egg-info .pytest_cache bridge/python/.pytest_cache .ruff_cache bridge/python/.ruff_cache
	find bridge/python examples model/reference -name __pycache__ -type d -prune -exec rm -rf {} +
