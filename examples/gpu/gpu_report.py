"""One report on a machine with a GPU, in stages of minutes: numerics, speed, clips, training, evaluation.

Needs the `worldstep` binary and Python's standard library, no Rust and no network. Each stage leaves its
result as a JSON file in --out, and is not run again once that is there: after an interruption, or where a
machine is only lent for minutes at a time, run the same command again. Training is stopped with a checkpoint
when its stage's time is up and goes on with the next call, until its minutes are spent. A bench that takes
longer than a stage may has failed: the others are still done, and the next call tries it again.

    python3 examples/gpu/gpu_report.py --worldstep ./worldstep --out out/gpu

report.html in --out shows what there is so far; report_page.py and the files beside it make it. With
--publish, each result that is there is copied to a folder too, as gpu-STAGE.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import report_page

TASKS = ("CatchBehindScreen-v0", "CartPole-v0", "PushCube-v0")
TRAIN_SEED = 100_000
# No clip that is learned from has such a seed.
EVAL_SEED = 900_000
CHANNELS = "rgb,depth,instance"
BENCHES = ("train", "dream", "kernels", "profile", "render")
# What results in one folder must have in common.
SETTINGS = ("preset", "side", "precision", "batch", "clips", "device")
SETTINGS_FILE = "settings"
# Minutes of training of a model that is there to be timed.
BRIEF_MINUTES = 0.5
# What a training does after it was told to stop: the step under way, a checkpoint.
GRACE_S = 60


class Stopped(Exception):
    """A stage is not done; the next call goes on with it."""


class Failed(Exception):
    """A stage has gone wrong; what it had found by then, if anything."""

    def __init__(self, message: str, found: str = "") -> None:
        super().__init__(message)
        self.found = found


def parse_arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worldstep", type=Path, default=Path("worldstep"), help="the command")
    parser.add_argument("--out", type=Path, default=Path("out/gpu"), help="folder of models and results")
    parser.add_argument("--task", action="append", dest="tasks", help="one of several; all by default")
    parser.add_argument("--preset", default="s", help="nano, s, m or l")
    parser.add_argument(
        "--more-presets", default="m", help="others whose speed is measured, for instance m,l; '' for none"
    )
    parser.add_argument("--side", type=int, default=64, choices=(64, 128), help="pixels a side of the frames")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--precision", default="bf16", help="bf16 or f32")
    parser.add_argument("--minutes", type=float, default=6.0, help="training time of each task")
    parser.add_argument("--batch", type=int, default=64, help="windows in one step of the dynamics")
    parser.add_argument("--clips", type=int, default=1500, help="clips of each task to learn from")
    parser.add_argument("--eval-clips", type=int, default=400, help="fresh ones; a tenth is evaluated")
    parser.add_argument("--stage-minutes", type=float, default=9.0, help="the longest that a stage takes")
    parser.add_argument("--bench-seconds", type=float, default=2.0, help="time of each row of the benches")
    parser.add_argument(
        "--bench",
        action="append",
        choices=BENCHES,
        help="one of several; all by default, train only with --peers",
    )
    parser.add_argument("--envs", default="1,64,1024,4096,8192", help="numbers of dreams stepped at once")
    parser.add_argument("--peers", help="a Python that has PyTorch, to dream and train beside it")
    parser.add_argument(
        "--tiles", default="1,64,1024,4096", help="numbers of views that are rendered at once"
    )
    parser.add_argument("--publish", type=Path, help="folder that results are copied to, as gpu-STAGE.json")
    arguments = parser.parse_args(given)
    arguments.tasks = arguments.tasks or list(TASKS)
    arguments.speed_presets = list(
        dict.fromkeys([arguments.preset, *filter(None, arguments.more_presets.split(","))])
    )
    for name in ("minutes", "stage_minutes", "bench_seconds"):
        value = getattr(arguments, name)
        if not value > 0:
            parser.error(f"--{name.replace('_', '-')} is {value}, expected a number above 0")
    return arguments


def ask(arguments: argparse.Namespace, *words: object, resumes: bool = False) -> dict[str, Any]:
    """Runs a `worldstep` command as `ask_command` does."""
    return ask_command(arguments, f"worldstep {words[0]}", [arguments.worldstep, *words], resumes)


def ask_command(
    arguments: argparse.Namespace, name: str, words: list[object], resumes: bool = False
) -> dict[str, Any]:
    """Runs a command with --json, within the time of a stage; one that `resumes` can be gone on with."""
    command = [*map(str, words), "--json"]
    print(f"\n$ {' '.join(command)}", flush=True)
    environment = {**os.environ, "WORLDSTEP_BIN": str(arguments.worldstep.resolve())}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            output, _ = process.communicate(timeout=60 * arguments.stage_minutes)
        except subprocess.TimeoutExpired:
            # As Ctrl-C does: recordings and trainings keep what they have.
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
            limit = f"{arguments.stage_minutes:g} minutes"
            message = f"`{name}` was stopped after {limit}"
            raise (Stopped if resumes else Failed)(message) from None
    if process.returncode != 0:
        raise Failed(f"`{name}` failed with status {process.returncode}", output)
    return json.loads(output)


def numerics(arguments: argparse.Namespace, preset: str, products: str) -> dict[str, Any]:
    """Compares the device's step engine with the processor's; too far apart, it fails."""
    words = ("--device", arguments.device, "--preset", preset, "--products", products)
    return ask(arguments, "bench", "numerics", *words)


def synth(arguments: argparse.Namespace, task: str, clips: int, seed: int, name: str) -> dict[str, Any]:
    """Records clips, or goes on with that."""
    words = ("--scenario", task, "--clips", clips, "--seed", seed, "--channels", CHANNELS)
    words += ("--size", arguments.side)
    return ask(arguments, "synth", *words, "--out", arguments.out / name / task, "--resume", resumes=True)


def train(arguments: argparse.Namespace, task: str) -> dict[str, Any]:
    """Trains, or goes on with it."""
    data, out = arguments.out / "clips" / task, arguments.out / "models" / task
    result = ask(
        arguments,
        *("train", "--data", data, "--out", out, "--resume", "--preset", arguments.preset),
        *("--device", arguments.device, "--precision", arguments.precision),
        *("--minutes", arguments.minutes, "--batch", arguments.batch),
        resumes=True,
    )
    if result["stopped"]:
        raise Stopped("training was stopped")
    return result


def evaluate(arguments: argparse.Namespace, task: str) -> dict[str, Any]:
    """Weighs the model on clips that it has not seen; the page lies beside the model."""
    model, data = arguments.out / "models" / task, arguments.out / "unseen" / task
    return ask(arguments, "eval", "--model", model, "--data", data, "--device", arguments.device)


def brief(arguments: argparse.Namespace, preset: str) -> dict[str, Any]:
    """A model of `preset` that is there to be timed: it learns for half a minute."""
    task = arguments.tasks[0]
    return ask(
        arguments,
        *(
            "train",
            "--data",
            arguments.out / "clips" / task,
            "--out",
            arguments.out / f"brief-{preset}" / task,
        ),
        *("--resume", "--preset", preset, "--device", arguments.device, "--precision", arguments.precision),
        *("--minutes", BRIEF_MINUTES, "--batch", arguments.batch),
        resumes=True,
    )


def dream(arguments: argparse.Namespace, preset: str, envs: str, products: str) -> dict[str, Any]:
    """Steps a second of so many environments; in bf16 beside PyTorch."""
    models = arguments.out / ("models" if preset == arguments.preset else f"brief-{preset}")
    words = ["--model", models, "--device", arguments.device, "--envs", envs, "--products", products]
    words += ["--seconds", arguments.bench_seconds]
    if arguments.peers and products == "bf16":
        words += ["--peers", arguments.peers]
    return ask(arguments, "bench", "dream", *words)


def kernels(arguments: argparse.Namespace, preset: str, products: str) -> dict[str, Any]:
    """Where a step of as many environments as are asked for goes."""
    words = ("--device", arguments.device, "--preset", preset, "--products", products)
    return ask(arguments, "bench", "kernels", *words, "--envs", most_envs(arguments))


def most_envs(arguments: argparse.Namespace) -> str:
    """The largest number of environments."""
    return max(arguments.envs.split(","), key=int)


def training(arguments: argparse.Namespace, preset: str) -> dict[str, Any]:
    """Training steps a second, beside PyTorch's."""
    return ask(
        arguments,
        *("bench", "train", "--data", arguments.out / "clips" / arguments.tasks[0], "--preset", preset),
        *("--device", arguments.device, "--precision", arguments.precision, "--batch", arguments.batch),
        *("--seconds", 15 * arguments.bench_seconds),
        *(("--peers", arguments.peers) if arguments.peers else ()),
    )


def render(arguments: argparse.Namespace) -> dict[str, Any]:
    """Views a second."""
    return ask(arguments, "bench", "render", "--tiles", arguments.tiles, "--seconds", arguments.bench_seconds)


Stages = list[tuple[str, Callable[[], dict[str, Any]]]]


def stages(arguments: argparse.Namespace) -> Stages:
    """Names of all stages and what each does; first those that need no clips."""
    benches = arguments.bench or [name for name in BENCHES if name != "train" or arguments.peers]
    # Numbers of eight bits are for GPUs.
    every_products = ("bf16", "fp8") if arguments.device.startswith("cuda") else ("bf16",)
    every: Stages = [("doctor", partial(ask, arguments, "doctor"))]
    for products in every_products:
        suffix = "" if products == "bf16" else f"-{products}"
        for preset in dict.fromkeys(("nano", arguments.preset)):
            every.append((f"numerics-{preset}{suffix}", partial(numerics, arguments, preset, products)))
        if "kernels" in benches:
            for preset in arguments.speed_presets:
                every.append(
                    (f"bench-kernels-{preset}{suffix}", partial(kernels, arguments, preset, products))
                )
    if "render" in benches:
        every.append(("bench-render", partial(render, arguments)))
    learned, fresh = (arguments.clips, TRAIN_SEED, "clips"), (arguments.eval_clips, EVAL_SEED, "unseen")
    for task in arguments.tasks:
        every += [
            (f"clips-{task}", partial(synth, arguments, task, *learned)),
            (f"train-{task}", partial(train, arguments, task)),
            (f"unseen-{task}", partial(synth, arguments, task, *fresh)),
            (f"eval-{task}", partial(evaluate, arguments, task)),
        ]
    return every + speed_stages(arguments, benches, every_products)


def speed_stages(
    arguments: argparse.Namespace, benches: list[str], every_products: tuple[str, ...]
) -> Stages:
    """Those that need clips and models."""
    every: Stages = []
    for preset in arguments.speed_presets:
        if "dream" in benches and preset != arguments.preset:
            every.append((f"brief-{preset}", partial(brief, arguments, preset)))
        if "dream" in benches:
            for envs in arguments.envs.split(","):
                every.append(
                    (f"bench-dream-{preset}@{envs}", partial(dream, arguments, preset, envs, "bf16"))
                )
        if "dream" in benches and "fp8" in every_products:
            most = most_envs(arguments)
            every.append((f"bench-dream-{preset}-fp8@{most}", partial(dream, arguments, preset, most, "fp8")))
        if "train" in benches:
            every.append((f"bench-train-{preset}", partial(training, arguments, preset)))
    if "profile" in benches:
        every.append(("bench-profile", partial(profile, arguments)))
    if arguments.peers:
        every.append(("bench-rollouts", partial(rollouts, arguments)))
    return every


def rollouts(arguments: argparse.Namespace) -> dict[str, Any]:
    """A policy in PyTorch whose observations stay on the card, beside the way through host memory."""
    words = [arguments.peers, Path(__file__).with_name("on_card_rollouts.py"), "--task", arguments.tasks[0]]
    words += ["--model", arguments.out / "models", "--device", arguments.device]
    words += ["--envs", arguments.envs, "--seconds", arguments.bench_seconds]
    return ask_command(arguments, "on_card_rollouts", words)


def profile(arguments: argparse.Namespace) -> dict[str, Any]:
    """Where the time of a training step goes, on the first task's clips."""
    return ask(
        arguments,
        *("bench", "train", "--profile", "--data", arguments.out / "clips" / arguments.tasks[0]),
        *("--preset", arguments.preset, "--device", arguments.device, "--precision", arguments.precision),
        *("--batch", arguments.batch, "--seconds", 5 * arguments.bench_seconds),
    )


def run(name: str, stage: Any, out: Path) -> dict[str, Any]:
    """The result of a stage: that of an earlier call, or that of this one."""
    path = out / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text())
    start = time.perf_counter()
    result = {"seconds": 0.0, "result": stage()}
    result["seconds"] = round(time.perf_counter() - start, 1)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.replace(path)
    return result


def check_same(arguments: argparse.Namespace) -> None:
    """Refuses to go on in a folder that holds the results of other models."""
    path = arguments.out / SETTINGS_FILE
    asked = {name: getattr(arguments, name) for name in SETTINGS}
    if path.exists():
        begun = json.loads(path.read_text())
        if other := [name for name in SETTINGS if begun.get(name) != asked[name]]:
            differs = ", ".join(f"--{name} {begun.get(name)}, not {asked[name]}" for name in other)
            sys.exit(f"gpu_report: {arguments.out} was begun with {differs}; choose another --out")
    path.write_text(json.dumps(asked) + "\n")


def summary(name: str, result: dict[str, Any]) -> str:
    """One line about a stage."""
    found = result["result"]
    if name == "doctor":
        return "; ".join(f"{row['part']}: {row['detail']}" for row in found["findings"])
    if name.startswith("eval-"):
        psnr = found["psnr_db"]
        gain = psnr["model"]["16"]["foreground"] - psnr["copy_last"]["16"]["foreground"]
        return f"foreground {gain:+.1f} dB over copy-last at 16 steps, F1 of ends {found['termination_f1']}"
    if name.startswith("numerics-"):
        numbers = ("rewards_apart", "terminated_apart", "objects_apart", "uncertainty_apart", "latents_apart")
        worst = max(row["value"] for row in found["rows"] if row["metric"] in numbers)
        others = max(row["value"] for row in found["rows"] if row["metric"] == "other_codes")
        return f"numbers at most {worst:.1e} from the processor's, {others:.2%} of codes are others"
    if name.startswith("bench-dream-"):
        return dream_summary(found["rows"])
    if name == "bench-profile":
        return profile_summary(found["rows"])
    if name.startswith("bench-kernels-"):
        return kernels_summary(found["rows"])
    if name.startswith(("bench-train-", "bench-rollouts")):
        return ratios_summary(found["rows"])
    if name == "bench-render":
        best = max(found["rows"], key=lambda row: row["value"] if row["unit"] == "views/s" else 0.0)
        return f"{best['value']:,.0f} {best['unit']} at {best['case'].get('tiles')} tiles"
    keys = ("clips", "frames", "parameters", "tokenizer_steps", "dynamics_steps")
    told = {**found, **found.get("training", {})}
    return ", ".join(f"{told[key]} {key.replace('_', ' ')}" for key in keys if key in told) or "done"


def dream_summary(rows: list[dict[str, Any]]) -> str:
    """The fastest of each observation, and the best ratio to a peer."""
    rates = [row for row in rows if row["metric"] == "env_steps_per_s" and not row["peer"]]
    best = {row["case"]["obs"]: row for row in sorted(rates, key=lambda row: row["value"])}
    told = [f"{obs} {row['value']:,.0f} env-steps/s at {row['case']['envs']}" for obs, row in best.items()]
    ratios = [row for row in rows if row["metric"] == "env_steps_per_s_ratio"]
    told += [
        f"{row['value']:.2f} times {row['peer']} at {row['case']['envs']}, {row['case']['obs']}"
        for row in ratios
        if row["case"]["envs"] == max(other["case"]["envs"] for other in ratios)
    ]
    return "; ".join(told)


def kernels_summary(rows: list[dict[str, Any]]) -> str:
    """A step's time, and what takes most of it."""
    times = {row["case"]["kernel"]: row["value"] for row in rows if row["metric"] == "time"}
    whole = times.pop("all")
    largest = max(times, key=lambda kernel: times[kernel])
    return f"{whole:.2f} ms a step, {times[largest] / whole:.0%} of it {largest}"


def ratios_summary(rows: list[dict[str, Any]]) -> str:
    """The best and the worst ratio to a peer."""
    ratios = sorted(
        (row["value"], row["peer"] or "the other way") for row in rows if row["metric"].endswith("_ratio")
    )
    if not ratios:
        return f"{len(rows)} figures"
    (low, below), (high, above) = ratios[0], ratios[-1]
    return f"{low:.2f} times {below} to {high:.2f} times {above}"


def profile_summary(rows: list[dict[str, Any]]) -> str:
    """A step's time, and what takes most of it."""
    times = {row["case"]["part"]: row["value"] for row in rows if row["metric"] == "time"}
    whole = times.pop("step")
    largest = max(times, key=lambda part: times[part])
    return f"{whole:.1f} ms a step, {times[largest] / whole:.0%} of it {largest.replace('_', ' ')}"


def publish(results: dict[str, dict[str, Any]], folder: Path) -> None:
    """Copies what was measured to where it is kept: the results alone, as the command printed them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        (folder / f"gpu-{name}.json").write_text(json.dumps(result["result"], indent=1) + "\n")


def main() -> None:
    """Runs what is not done yet."""
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    check_same(arguments)
    results: dict[str, dict[str, Any]] = {}
    complaints: list[str] = []
    every = stages(arguments)
    names = [name for name, _ in every]
    title = f"{arguments.preset}, {arguments.side}x{arguments.side}, on {arguments.device}"
    for name, stage in every:
        try:
            results[name] = run(name, stage, arguments.out)
        except Stopped as stopped:
            sys.exit(f"gpu_report: {name}: {stopped}; run the same command again to go on")
        except Failed as failed:
            # A machine that is lent for minutes should still answer the rest.
            complaints.append(f"gpu_report: {name}: {failed}")
            (arguments.out / f"{name}.failed").write_text(failed.found)
            print(complaints[-1], file=sys.stderr, flush=True)
            if not name.startswith(("doctor", "numerics-", "bench-", "brief-")):
                sys.exit(1)
            continue
        finally:
            html = report_page.page(title, names, results, summary, arguments.out / "models")
            (arguments.out / "report.html").write_text(html, encoding="utf-8")
            if arguments.publish:
                publish(results, arguments.publish)
        print(f"{name}: {results[name]['seconds']:.0f} s, {summary(name, results[name])}", flush=True)
    if complaints:
        sys.exit("\n".join(["gpu_report: not all stages went well:", *complaints]))
    print(f"all stages are done: {arguments.out / 'report.html'}")


if __name__ == "__main__":
    main()
