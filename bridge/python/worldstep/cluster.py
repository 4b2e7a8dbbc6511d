"""Records a dataset on a Ray cluster.

`python -m worldstep.cluster --shards 8 --scenario toss --clips 1000 --out DIR`

Every shard is one Ray task that runs `worldstep synth --shard i/N` into a folder that all machines share. A
shard whose machine or process is lost is started again and goes on from its last whole file. In the end
`worldstep data merge` makes one dataset of them, bit for bit what a single machine would have recorded. Needs
`worldstep[cluster]`.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldstep.private_server import find_binary

PROGRESS_S = 1.0
"""Seconds between two looks at how far the shards are."""
LOCK_TIMEOUT_S = 60.0
"""How long a shard waits for a lost predecessor to let go of its folder."""
WRONG_REQUEST = 2
"""Exit code of `worldstep` for what fails in the same way on every machine."""
CLIPS_PER_FILE = 64
"""Clips that a shard can't be cut below."""
SAID_MAX = 500
"""Characters of a failed shard's last words that are passed on."""


@dataclass(frozen=True)
class Job:
    """What is to be recorded, and how it is cut."""

    scenario: str
    clips: int
    out: Path
    """Folder of the merged dataset; the shards are beside it, in `OUT.shards`."""
    shards: int
    seed: int = 0
    cpus: int = 1
    """Cores of each shard; its workers."""
    retries: int = 3
    """How often one shard may be started again."""
    extra: tuple[str, ...] = ()
    """Further arguments of `worldstep synth`."""
    binary: str | None = None
    """The `worldstep` command on the cluster's machines; looked for there if not given."""
    keep_shards: bool = False

    @property
    def shard_root(self) -> Path:
        """Where the shards are."""
        return self.out.with_name(self.out.name + ".shards")

    def shard_folder(self, index: int) -> Path:
        """Folder of one shard."""
        return self.shard_root / f"shard-{index:04d}"


@dataclass
class Progress:
    """How far a job is."""

    clips_done: int = 0
    shards_done: int = 0
    restarts: int = 0


class ShardFailed(RuntimeError):
    """A shard failed more often than it may be started again, or in a way that no other try can mend."""


class WrongRequest(RuntimeError):
    """What was asked of a shard fails in the same way on every machine."""


def run_shard(job: Job, index: int) -> dict[str, Any]:
    """Record one shard on this machine; what an earlier attempt finished is kept."""
    folder = job.shard_folder(index)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        _lock(lock.fileno(), folder)
        command = [job.binary or find_binary(), "synth", "--scenario", job.scenario]
        command += ["--clips", str(job.clips), "--seed", str(job.seed)]
        command += ["--shard", f"{index}/{job.shards}", "--out", str(folder)]
        command += ["--workers", str(job.cpus), "--resume", "--json", *job.extra]
        # The child holds the lock too: as long as it lives, nobody else writes there.
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=[lock.fileno()],
            preexec_fn=_die_with_parent,
        )
    if done.returncode != 0:
        said = done.stderr.strip()[-SAID_MAX:] or "it said nothing"
        error = WrongRequest if done.returncode == WRONG_REQUEST else RuntimeError
        raise error(f"shard {index} ended with status {done.returncode}: {said}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _lock(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{folder} is still being written by another process") from None
            time.sleep(0.2)


def _die_with_parent() -> None:
    """End with the Ray worker, also where that is killed; Linux only, elsewhere the lock has to do."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def record(job: Job, on_progress: Callable[[Progress], None] = lambda _: None) -> dict[str, Any]:
    """Record all shards on the connected Ray cluster, then merge them; gives what the merge says.

    Raises `ShardFailed` if a shard was lost more often than `job.retries`, or refuses what is asked of it.
    """
    import ray

    if job.out.exists() and any(job.out.iterdir()):
        raise FileExistsError(f"{job.out} is not empty; give another folder")
    task = ray.remote(run_shard).options(num_cpus=job.cpus, max_retries=0, scheduling_strategy="SPREAD")
    running = {task.remote(job, index): index for index in range(job.shards)}
    attempts = dict.fromkeys(range(job.shards), 1)
    progress = Progress()
    while running:
        done, _ = ray.wait(list(running), timeout=PROGRESS_S)
        for reference in done:
            index = running.pop(reference)
            try:
                ray.get(reference)
                progress.shards_done += 1
            except ray.exceptions.RayError as error:
                wrong = isinstance(error, WrongRequest)
                if wrong or attempts[index] > job.retries:
                    for other in running:
                        ray.cancel(other, force=True)
                    times = "refused" if wrong else f"lost {attempts[index]} times, last"
                    raise ShardFailed(f"shard {index} was {times}: {_last_line(error)}") from error
                attempts[index] += 1
                progress.restarts += 1
                running[task.remote(job, index)] = index
        progress.clips_done = sum(clips_in(job.shard_folder(index)) for index in range(job.shards))
        on_progress(progress)
    return merge(job)


def clips_in(folder: Path) -> int:
    """Clips that are on disk, whole; one dataset, or one for each scenario."""
    count = 0
    for info in (folder / "meta/info.json", *folder.glob("*/meta/info.json")):
        try:
            count += json.loads(info.read_text())["total_episodes"]
        except (OSError, ValueError, KeyError):
            continue
    return count


def merge(job: Job) -> dict[str, Any]:
    """Make one dataset of all shards."""
    shards = [str(job.shard_folder(index)) for index in range(job.shards)]
    command = [job.binary or find_binary(), "data", "merge", *shards, "--out", str(job.out), "--json"]
    merged = subprocess.run(command, capture_output=True, text=True, check=False)
    if merged.returncode != 0:
        raise RuntimeError(f"merging failed: {merged.stderr.strip()[-SAID_MAX:]}")
    if not job.keep_shards:
        shutil.rmtree(job.shard_root)
    report: dict[str, Any] = json.loads(merged.stdout)
    return report


def shards_of_use(clips: int, shards: int) -> int:
    """How many of `shards` a job of `clips` clips has something for: they are cut between files."""
    return min(shards, -(-clips // CLIPS_PER_FILE))


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:SAID_MAX] if lines else type(error).__name__


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m worldstep.cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", required=True, help="as of `worldstep synth`")
    parser.add_argument("--clips", type=int, required=True, help="accepted clips in all")
    parser.add_argument("--out", type=Path, required=True, help="folder that all machines see")
    parser.add_argument(
        "--shards", type=int, required=True,
        help=f"parts; a few for each machine, at most one for {CLIPS_PER_FILE} clips of a scenario",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of the first clip (default: %(default)s)")
    parser.add_argument("--cpus", type=int, default=1, help="cores of each shard (default: %(default)s)")
    parser.add_argument(
        "--retries", type=int, default=3,
        help="how often a lost shard is started again (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--address", default=None, help="Ray cluster (`auto`, host:port); default: local")
    parser.add_argument("--worldstep", default=None, help="path of the command on the cluster's machines")
    parser.add_argument("--keep-shards", action="store_true", help="leave the shards beside the dataset")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("extra", nargs="*", help="further arguments of `worldstep synth`, after --")
    args = parser.parse_args(arguments)
    for name in ("clips", "shards", "cpus"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} is {getattr(args, name)}, expected at least 1")
    if args.retries < 0:
        parser.error(f"--retries is {args.retries}, expected at least 0")
    shards = shards_of_use(args.clips, args.shards)
    if shards < args.shards:
        few = f"{args.clips} clips are {shards} files of {CLIPS_PER_FILE}"
        print(f"worldstep.cluster: {few}: {shards} shards instead of {args.shards}", file=sys.stderr)
    try:
        import ray
    except ImportError:
        raise SystemExit("Ray is missing: pip install 'worldstep[cluster]'") from None
    job = Job(
        scenario=args.scenario,
        clips=args.clips,
        out=Path(os.path.abspath(args.out)),
        shards=shards,
        seed=args.seed,
        cpus=args.cpus,
        retries=args.retries,
        extra=tuple(args.extra),
        binary=args.worldstep,
        keep_shards=args.keep_shards,
    )
    ray.init(address=args.address, log_to_driver=False, logging_level=logging.WARNING)
    last = ""

    def show(progress: Progress) -> None:
        nonlocal last
        line = f"{progress.clips_done}/{job.clips} clips, {progress.shards_done}/{job.shards} shards"
        line += f", {progress.restarts} lost and started again" if progress.restarts else ""
        if line != last:
            print(line, file=sys.stderr, flush=True)
            last = line

    try:
        merged = record(job, show)
    except (ShardFailed, FileExistsError, RuntimeError) as error:
        raise SystemExit(f"worldstep.cluster: {error}") from None
    finally:
        ray.shutdown()
    if args.json:
        print(json.dumps(merged))


if __name__ == "__main__":
    main()
