# make demo · make test · make cuda · make bench · make docs
#
# Each target sets up what it needs (system packages, Python environment, build), says what it installs, and does
# nothing twice. The target folder is shared by all clones of one machine; see setup/claim-target.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/worldstep/target
PYTHON ?= python3
VENV := .venv
BIN := $(CARGO_TARGET_DIR)/debug
MODEL_MINUTES ?= 60

.PHONY: help setup system venv claim build test test-rust test-python lint demo nano cuda cuda-check bench docs clean

help:
	@sed -n 's/^## //p' Makefile

setup: system venv

system:
	@setup/system-packages

venv: system
	@setup/python-environment "$(PYTHON)" "$(VENV)"

claim:
	@setup/claim-target

build: setup claim
	cargo build --workspace --bins --examples
	@ln -f "$(BIN)/worldstep" $(VENV)/bin/worldstep 2>/dev/null || cp "$(BIN)/worldstep" $(VENV)/bin/worldstep

## make demo     fresh clips, two minutes of training, evaluation, both engines through the bridge: out/demo/report.html
demo: build
	$(VENV)/bin/python examples/demo/demo.py --out out/demo

## make test     formatting, all Rust and Python tests, the examples
test: build test-rust test-python

test-rust: setup claim
	cargo fmt --all --check
	cargo test --workspace

test-python: build
	$(VENV)/bin/ruff check bridge/python examples
	$(VENV)/bin/python -m pytest -q bridge/python/tests

## make lint     clippy and rustdoc with warnings as errors
lint: setup claim
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

## make nano     trains the shipped weights anew (MODEL_MINUTES=60) into out/nano
nano: build
	$(VENV)/bin/worldstep synth --scenario CatchBehindScreen-v0 --clips 600 --seed 1000 --out out/nano-data --resume
	$(VENV)/bin/worldstep train --data out/nano-data --out out/nano --preset nano --minutes $(MODEL_MINUTES) --resume

## make cuda     the `worldstep` command with CUDA (fetches LLVM from PyPI where GitHub is out of reach)
cuda: setup claim
	@setup/llvm-for-cuda "$(VENV)"
	cargo build --release -p worldstep-bridge --features cuda

cuda-check: setup claim
	@setup/llvm-for-cuda "$(VENV)"
	cargo check -p worldstep-bridge --features cuda

## make bench    every figure in the README
bench: build
	$(VENV)/bin/worldstep bench env
	$(VENV)/bin/worldstep bench render
	$(VENV)/bin/worldstep bench dream
	$(VENV)/bin/worldstep bench bridge

## make docs     the API documentation
docs: setup claim
	cargo doc --workspace --no-deps

## make clean    removes what this clone made (not the shared target folder)
clean:
	rm -rf out $(VENV)
