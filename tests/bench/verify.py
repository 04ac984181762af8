"""Measures how long `afterburn verify` takes, and how near its hashing of a model comes to plain SHA-256.

    python tests/bench/verify.py [--pack DIR --key PUB] [--repeat 7] [--gigabytes 1] [--threads N]

The first figure is the wall time of the whole command on a pack with its PDF, without a model: the quickest of the
repetitions, since what another program takes of the machine is no cost of ours. Unless a pack is given, a small
genuine one is made. The second is bytes per second of hashing four files, against `hashlib.file_digest` on the same
files with the same number of threads. Exits with 1 if the command takes more than half a second or the hashing stays
below nine tenths of the plain one.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from afterburn_core.certify.manifest import scan
from afterburn_core.run.executor import available_cores

SECONDS, RATIO = 0.5, 0.9
_FILES = 4


def seconds(command: list[str], repeat: int) -> tuple[float, float]:
    """Quickest wall time of a command, and the processor time of one run, children included."""
    walls, before = [], resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(repeat + 1):  # the first one reads from the disk what the others find in memory
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        walls.append(time.perf_counter() - began)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return min(walls[1:]), busy / len(walls)


def genuine(folder: Path) -> tuple[Path, Path]:
    """A pack with its PDF, and its key."""
    sys.path.append(str(Path(__file__).parent.parent / "certificates"))
    import packs

    return packs.write(folder / "pack", packs.with_page()), folder / "pack" / "seal.pub"


def model(folder: Path, gigabytes: float) -> Path:
    """Files of random bytes, in memory from having been written."""
    folder.mkdir()
    chunk = os.urandom(1 << 20)
    for index in range(_FILES):
        with (folder / f"{index}.safetensors").open("wb") as stream:
            for _ in range(round(gigabytes * 1e9 / _FILES / len(chunk))):
                stream.write(chunk)
    return folder


def plain(folder: Path, threads: int) -> None:
    """SHA-256 of every file by the standard library."""

    def digest(path: Path) -> str:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(digest, sorted(folder.iterdir())))


def quickest(work: Callable[[], object], repeat: int) -> float:
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=available_cores())
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="afterburn-bench-") as name:
        folder = Path(name)
        pack, key = (given.pack, given.key) if given.pack else genuine(folder)
        command = [str(Path(sys.executable).with_name("afterburn")), "verify", str(pack), "--key", str(key)]
        wall, busy = seconds(command, given.repeat)
        print(f"afterburn verify: {wall:.3f} s (at most {SECONDS}), {busy:.3f} s of processor time")
        files = model(folder / "model", given.gigabytes)
        size = sum(path.stat().st_size for path in files.iterdir())
        # in turns, so that a machine that slows down slows both
        pairs = [
            (
                quickest(lambda: plain(files, given.threads), 1),
                quickest(lambda: scan(files, threads=given.threads), 1),
            )
            for _ in range(given.repeat)
        ]
        theirs, ours = (min(column) for column in zip(*pairs))
        print(
            f"hashing {size / 1e9:.1f} GB on {given.threads} threads: {size / ours / 1e9:.2f} GB/s, plain SHA-256 "
            f"{size / theirs / 1e9:.2f} GB/s, ratio {theirs / ours:.2f} (at least {RATIO})"
        )
    return 0 if wall <= SECONDS and theirs / ours >= RATIO else 1


if __name__ == "__main__":
    raise SystemExit(main())
