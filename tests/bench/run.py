"""Measures the weights pass on a 0.5B-shaped pair, against the machine's limit and against a peer on the same files.

    python tests/bench/run.py --pair DIRECTORY [--peer-python PATH] [--repeat 3] [--out bench.json]

The pair is made if the directory has none. Exits with 1 if peak resident memory reaches 1.3 GB or a command that must
be light takes 0.4 s. Another process that uses the machine shows in the load that is printed with the figures.
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


def measured(name: str, command: Sequence[str], repeat: int, size: int | None = None) -> Row:
    """The median cost of a command over `repeat` runs, each in an empty folder."""
    costs = []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as folder:
            costs.append(run_process(command, Path(folder)))
    seconds = statistics.median(cost.seconds for cost in costs)
    return Row(
        name=name,
        seconds=seconds,
        cpu_seconds=statistics.median(cost.cpu_seconds for cost in costs),
        peak_bytes=max(cost.peak_bytes for cost in costs),
        gigabytes_per_second=size / seconds / 1e9 if size else None,
        repetitions=repeat,
    )


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
    lines = [f"{'':34} {'wall s':>8} {'ratio':>7} {'cpu s':>8} {'peak MB':>8} {'GB/s':>6} {'runs':>5}"]
    for row in rows:
        cpu = "" if row.cpu_seconds is None else f"{row.cpu_seconds:.2f}"
        peak = "" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.0f}"
        rate = "" if row.gigabytes_per_second is None else f"{row.gigabytes_per_second:.2f}"
        ratio = f"{row.seconds / reference.seconds:.3f}"
        lines.append(f"{row.name:34} {row.seconds:8.2f} {ratio:>7} {cpu:>8} {peak:>8} {rate:>6} {row.repetitions:5}")
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
    base, trained = map(Path, subprocess.run(maker, check=True, capture_output=True, text=True).stdout.splitlines())
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
    ours_row = measured(
        "afterburn weight-diff", [*ours, "weight-diff", *pair, "--no-cache", "--quiet"], options.repeat, size
    )
    rows.append(ours_row)
    if options.peer_python:
        # not resolved: the link is what makes it the environment's python
        peer = [str(options.peer_python.absolute().parent / "afterburn"), "weight-diff", *pair, "--device", "cpu"]
        rows.append(measured("afterburn 0.6.3 weight-diff (peer)", peer, max(1, options.repeat // 3), size))
    light = [measured(f"afterburn {' '.join(c)}", [*ours, *c], 9) for c in (["--help"], ["plugins"])]

    print(table([*rows, *light], ours_row))
    faults = []
    if ours_row.peak_bytes is not None and ours_row.peak_bytes >= PEAK_LIMIT:
        faults.append(f"peak memory {ours_row.peak_bytes / 1e9:.2f} GB is not below {PEAK_LIMIT / 1e9} GB")
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
