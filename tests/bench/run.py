"""Measures the weights pass on a 0.5B-shaped pair, against the machine's limit and against a peer on the same files.

    python tests/bench/run.py --pair DIRECTORY [--peer-python PATH] [--repeat 3] [--out bench.json]

Each preset is run end to end, hashing included and without cache; `second candidate` is another trained model against
a base whose spectra an earlier run left. The pair is made if the directory has none. Exits with 1 if peak resident
memory reaches 1.3 GB, a command that must be light takes 0.4 s, or, with a peer, a preset misses its ratio: quick 20,
standard 4 and full 2 times as fast, each in at most a third of the peer's memory. Another process that uses the machine
shows in the load that is printed with the figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import attrs

PEAK_LIMIT = 1.3e9
"""Bytes of resident memory that the pass must stay below."""
STARTUP_LIMIT = 0.4
"""Seconds that commands without a model may take."""
RATIOS = {"quick": 20.0, "standard": 4.0, "full": 2.0}
"""How many times faster than the peer each preset has to be."""
_BLOCK = 1 << 22


@attrs.frozen(kw_only=True)
class Cost:
    """What one process cost."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


@attrs.frozen(kw_only=True)
class Row:
    """One line of the table."""

    name: str
    seconds: float
    """Median wall time."""
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    """Largest of all repetitions."""
    gigabytes_per_second: float | None = None
    gigaflops: float | None = None
    """Multiplications and additions of the Gram products alone, as a plain matmul would count them, over wall time."""
    repetitions: int = 1


def run_process(command: Sequence[str], folder: Path) -> Cost:
    """Runs a command to its end and returns what it cost, children included.

    Raises:
        subprocess.CalledProcessError: it failed; its last words are on standard error.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "AFTERBURN_CACHE_DIR": str(folder / "cache")}
    with (folder / "output").open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        print((folder / "output").read_text(errors="replace")[-2000:], file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, command)
    scale = 1 if platform.system() == "Darwin" else 1024
    return Cost(seconds=seconds, cpu_seconds=usage.ru_utime + usage.ru_stime, peak_bytes=usage.ru_maxrss * scale)


def measured(
    name: str,
    command: Sequence[str],
    repeat: int,
    size: int | None = None,
    *,
    work: float | None = None,
    before: Sequence[str] | None = None,
) -> Row:
    """The median cost of a command over `repeat` runs, each in an empty folder, after `before` has run there."""
    costs = []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as folder:
            if before:
                run_process(before, Path(folder))
            costs.append(run_process(command, Path(folder)))
    seconds = statistics.median(cost.seconds for cost in costs)
    return Row(
        name=name,
        seconds=seconds,
        cpu_seconds=statistics.median(cost.cpu_seconds for cost in costs),
        peak_bytes=max(cost.peak_bytes for cost in costs),
        gigabytes_per_second=size / seconds / 1e9 if size else None,
        gigaflops=work / seconds / 1e9 if work else None,
        repetitions=repeat,
    )


def matmul(dtype: str, repeat: int) -> Row:
    """What this machine's BLAS reaches on one plain product of the shape that dominates, on all cores."""
    import numpy as np

    left = np.random.default_rng(0).standard_normal((896, 4864)).astype(dtype)
    right = left.T.copy()
    left @ right
    times = []
    for _ in range(max(3, repeat)):
        started = time.perf_counter()
        for _ in range(10):
            left @ right
        times.append((time.perf_counter() - started) / 10)
    seconds = statistics.median(times)
    return Row(name=f"one matmul, {dtype}", seconds=seconds, gigaflops=2 * 896 * 896 * 4864 / seconds / 1e9)


def gram_work(path: Path) -> float:
    """Flop of AᵀA on the smaller side of every matrix of a file, 2·m·n·min(m, n), for W, W' and Δ."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    return 3.0 * sum(2 * m * n * min(m, n) for m, n in (shape for shape in shapes if len(shape) == 2))


def limit(name: str, files: Sequence[Path], consume: Callable[[memoryview], object], repeat: int) -> Row:
    """How fast this machine takes in the same bytes in one thread and does nothing else with them."""
    size, times, buffer = sum(file.stat().st_size for file in files), [], bytearray(_BLOCK)
    for _ in range(repeat):
        started = time.perf_counter()
        for file in files:
            with file.open("rb", buffering=0) as stream:
                while count := stream.readinto(buffer):
                    consume(memoryview(buffer)[:count])
        times.append(time.perf_counter() - started)
    seconds = statistics.median(times)
    return Row(name=name, seconds=seconds, gigabytes_per_second=size / seconds / 1e9, repetitions=repeat)


def table(rows: Iterable[Row], reference: Row) -> str:
    """The figures, with wall times relative to those of `reference`."""
    lines = [f"{'':34} {'wall s':>8} {'ratio':>7} {'cpu s':>8} {'peak MB':>8} {'GB/s':>6} {'GFLOP/s':>8} {'runs':>5}"]
    for row in rows:
        cpu = "" if row.cpu_seconds is None else f"{row.cpu_seconds:.2f}"
        peak = "" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.0f}"
        rate = "" if row.gigabytes_per_second is None else f"{row.gigabytes_per_second:.2f}"
        flop = "" if row.gigaflops is None else f"{row.gigaflops:.0f}"
        ratio = f"{reference.seconds / row.seconds:.2f}"
        lines.append(
            f"{row.name:34} {row.seconds:8.2f} {ratio:>7} {cpu:>8} {peak:>8} {rate:>6} {flop:>8} {row.repetitions:5}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", type=Path, required=True, help="directory with base/ and trained/; made if absent")
    parser.add_argument("--peer-python", type=Path, help="python of an environment with the peer afterburn==0.6.3")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    options = parser.parse_args(arguments)

    # in a process of its own: a child's peak memory begins at that of the process it was forked from
    maker = [sys.executable, str(Path(__file__).with_name("make_pair.py")), str(options.pair.resolve())]
    made = subprocess.run(maker, check=True, capture_output=True, text=True).stdout.splitlines()
    base, trained, second = map(Path, made)
    files = [base / "model.safetensors", trained / "model.safetensors"]
    size = sum(file.stat().st_size for file in files)
    ours = [sys.executable, "-m", "afterburn_core"]
    pair = ["--base", str(base), "--trained", str(trained)]
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before the start, {size / 1e9:.2f} GB in two files", flush=True)

    rows = [
        limit("read both files", files, lambda block: None, options.repeat),
        limit("sha256 of both files", files, hashlib.sha256().update, options.repeat),
    ]
    diff = [*ours, "weight-diff", "--quiet", "--base", str(base)]
    work = gram_work(files[0])
    presets = {
        preset: measured(
            f"afterburn weight-diff {preset}",
            [*diff, "--trained", str(trained), "--no-cache", "--preset", preset],
            options.repeat,
            size,
            work=None if preset == "quick" else work,
        )
        for preset in RATIOS
    }
    rows += [matmul("float32", options.repeat), matmul("float64", options.repeat), *presets.values()]
    standard = ["--preset", "standard"]
    rows.append(
        measured(
            "the same, second candidate",
            [*diff, "--trained", str(second), *standard],
            max(1, options.repeat // 3),
            size,
            before=[*diff, "--trained", str(trained), *standard],
        )
    )
    reference, peer_row = presets["standard"], None
    if options.peer_python:
        # not resolved: the link is what makes it the environment's python
        peer = [str(options.peer_python.absolute().parent / "afterburn"), "weight-diff", *pair, "--device", "cpu"]
        peer_row = measured("afterburn 0.6.3 weight-diff (peer)", peer, max(1, options.repeat // 3), size)
        rows.append(peer_row)
        reference = peer_row
    light = [measured(f"afterburn {' '.join(c)}", [*ours, *c], 9) for c in (["--help"], ["plugins"])]

    print(table([*rows, *light], reference))
    faults = []
    for preset, row in presets.items():
        if row.peak_bytes is not None and row.peak_bytes >= PEAK_LIMIT:
            faults.append(f"{preset}: peak memory {row.peak_bytes / 1e9:.2f} GB is not below {PEAK_LIMIT / 1e9} GB")
        if peer_row is None:
            continue
        if peer_row.seconds < RATIOS[preset] * row.seconds:
            faults.append(
                f"{preset}: {peer_row.seconds / row.seconds:.2f} times as fast as the peer, not {RATIOS[preset]}"
            )
        if row.peak_bytes and peer_row.peak_bytes and 3 * row.peak_bytes > peer_row.peak_bytes:
            faults.append(f"{preset}: more than a third of the peer's memory")
    faults += [f"{row.name} took {row.seconds:.2f} s" for row in light if row.seconds >= STARTUP_LIMIT]
    report = {
        "machine": {
            "cores": os.cpu_count(),
            "load": load,
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
        "bytes": size,
        "rows": [attrs.asdict(row) for row in [*rows, *light]],
        "faults": faults,
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for fault in faults:
        print(f"too much: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
