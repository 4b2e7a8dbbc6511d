"""The whole loop in one command: truth -> clips -> world model -> neural reset/step -> Python.

Renders fresh clips of CatchBehindScreen-v0, trains a nano from scratch on them, evaluates it beside the
shipped weights on clips that neither has seen, steps both engines through the bridge, and writes report.html
and summary.json. Every number in them is computed here or by the `worldstep` commands that this calls.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import worldstep

import report

TASK = "CatchBehindScreen-v0"
NUM_ENVS = 64
HORIZONS = ("1", "8", "16", "32")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    parser.add_argument(
        "--shipped", type=Path, default=Path("models/nano"), help="folder of the shipped weights"
    )
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--minutes", type=float, default=2.0, help="training time of the fresh model")
    parser.add_argument(
        "--seed", type=int, default=20_000_000, help="no clip of the shipped model's training has it"
    )
    return parser.parse_args()


def worldstep_json(*arguments: object) -> dict:
    """Runs a `worldstep` command with --json; its progress goes to the terminal."""
    command = [str(Path(sys.executable).with_name("worldstep")), *map(str, arguments), "--json"]
    print(f"\n$ worldstep {' '.join(command[1:])}", flush=True)
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode != 0:
        sys.exit(f"demo: `worldstep {arguments[0]}` failed with status {finished.returncode}")
    return json.loads(finished.stdout)


def steps_per_second(engine: str, obs: str, seconds: float) -> float:
    """Env-steps/s of NUM_ENVS environments stepped with random actions through the bridge."""
    with contextlib.closing(worldstep.make_vec(TASK, NUM_ENVS, engine=engine, obs=obs)) as envs:
        envs.reset(seed=0)
        envs.action_space.seed(0)
        for _ in range(3):
            envs.step(envs.action_space.sample())
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            envs.step(envs.action_space.sample())
            steps += 1
        return steps * NUM_ENVS / (time.perf_counter() - start)


def curves(shipped: dict, fresh: dict) -> dict:
    """PSNR at every horizon: both models, copy-last, and the shipped model given another clip's actions."""
    model, copy_last, shuffled = shipped["psnr_db"]["curves"]
    fresh_model = fresh["psnr_db"]["curves"][0]
    return {"shipped": model, "fresh": fresh_model, "copy_last": copy_last, "shuffled_actions": shuffled}


def check_unseen(shipped: Path, seed: int, clips: int) -> None:
    """Exits if the shipped model may have learned from a clip with one of these seeds."""
    for card in shipped.rglob("model.json"):
        training = json.loads(card.read_text())["training"]
        # Nine clips of ten are learned from; twice their number leaves no doubt.
        learned = range(training["dataset_seed"], training["dataset_seed"] + 2 * training["clips"])
        if seed < learned.stop and learned.start < seed + clips:
            sys.exit(f"demo: {card} may have learned from seeds {learned}; choose another --seed")


def at_horizons(by_name: dict) -> dict:
    """The same at the four horizons that the summary names."""
    return {name: {h: rows[h] for h in HORIZONS if h in rows} for name, rows in by_name.items()}


def check(psnr_db: dict) -> list[str]:
    """What the shipped model has to hold; returns what it doesn't."""
    failures = []
    for horizon in ("8", "16"):
        shipped = psnr_db["shipped"][horizon]
        gain = shipped["foreground"] - psnr_db["copy_last"][horizon]["foreground"]
        if gain < 3.0:
            failures.append(f"foreground at {horizon} frames: {gain:+.2f} dB over copy-last, 3 needed")
        gain = shipped["actuated"] - psnr_db["shuffled_actions"][horizon]["actuated"]
        if gain < 3.0:
            failures.append(
                f"actuated pixels at {horizon} frames: {gain:+.2f} dB over shuffled actions, 3 needed"
            )
    return failures


def main() -> None:
    arguments = parse_arguments()
    start = time.perf_counter()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    check_unseen(arguments.shipped, arguments.seed, arguments.clips)
    data, fresh_dir, pictures = out / "clips", out / "nano-fresh", out / "pictures"
    for folder in (data, fresh_dir, pictures):
        shutil.rmtree(folder, ignore_errors=True)

    made = worldstep_json(
        *("synth", "--scenario", TASK, "--clips", arguments.clips, "--seed", arguments.seed),
        *("--channels", "rgb,depth,instance", "--out", data),
    )
    trained = worldstep_json(
        "train", "--data", data, "--out", fresh_dir, "--preset", "nano", "--minutes", arguments.minutes
    )
    fresh = worldstep_json("eval", "--model", fresh_dir, "--data", data, "--out", out / "eval-fresh.json")
    shipped_eval = ["--out", out / "eval-shipped.json", "--pictures", pictures]
    shipped = worldstep_json("eval", "--model", arguments.shipped, "--data", data, *shipped_eval)

    print("\nstepping both engines from Python through the bridge", flush=True)
    os.environ["WORLDSTEP_MODEL"] = str(arguments.shipped.resolve())
    throughput = {
        "truth_state": steps_per_second("truth", "state", 5.0),
        "truth_pixels": steps_per_second("truth", "rgb", 10.0),
        "dream": steps_per_second("dream", "rgb", 15.0),
    }
    by_horizon = curves(shipped, fresh)
    psnr_db = {"tokenizer": shipped["psnr_db"]["tokenizer"], **at_horizons(by_horizon)}
    summary = {
        "task": TASK,
        "clips": made["clips"],
        "frames": made["frames"],
        "content_hash": made["content_hash"],
        "train_seconds": trained["train_seconds"],
        "seconds_total": time.perf_counter() - start,
        "num_envs": NUM_ENVS,
        "clips_evaluated": shipped["clips"],
        "context_frames": shipped["context_frames"],
        "reward_mae": shipped["reward_mae"],
        "termination_f1": shipped["termination_f1"],
        "env_steps_per_s": throughput,
        "psnr_db": psnr_db,
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    report.write(out / "report.html", summary, by_horizon, sorted(pictures.glob("*.png")))
    show(summary, out)
    failures = check(psnr_db)
    for failure in failures:
        print(f"demo: the shipped model falls short: {failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)


def show(summary: dict, out: Path) -> None:
    print(f"\n{'foreground PSNR, dB':24}" + "".join(f"{h + ' frames':>12}" for h in HORIZONS))
    for name in ("shipped", "fresh", "copy_last"):
        row = summary["psnr_db"][name]
        values = [row[h]["foreground"] if h in row else np.nan for h in HORIZONS]
        print(f"{name:24}" + "".join(f"{value:12.2f}" for value in values))
    rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in summary["env_steps_per_s"].items())
    print(f"env-steps/s with {NUM_ENVS} environments: {rates}")
    print(f"{out / 'report.html'} and {out / 'summary.json'} written in {summary['seconds_total']:.0f} s")


if __name__ == "__main__":
    main()
