"""Runs code that a model wrote, with its tests, in a child process that may do little.

Only with `allow=True`, which stands for `--allow-code-execution`. The child gets an empty environment, an empty
directory of its own, limits on memory, processor time, processes, files and their sizes, and no network; it is killed
with all it started when its time is over. Whether the tests ran is proved by a nonce that the child is handed through a
pipe and reads only behind the last test, so `sys.exit(0)` and `print("ok")` pass nothing.

What holds depends on the system (`Outcome.isolation`): on Linux namespaces (no network, own process ids) and Landlock
(no writing outside the directory), where the kernel lets us; else an audit hook of the interpreter, which is weaker:
it refuses sockets, processes and writing elsewhere to Python code, not to machine code.

`==` in the tests' assertions is not left to the solution: an object that equals the expected value and a random other
one of its kind fails. It is a fence against accidents and easy cheating, not against an attacker: a solution that reads
the expected values out of its caller's frame passes, for one.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.probes.model import Probe

Kind = Literal["passed", "failed", "error", "timeout", "killed", "exited", "no_code"]
Isolation = Literal["namespace", "audit", "none"]

_CHILD = Path(__file__).with_name("sandbox_child.py")
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.S | re.M)
_MOST_REPORT = 4096  # bytes


@attrs.frozen(kw_only=True)
class Limits:
    """What a child may use."""

    seconds: float = 5.0
    """Wall clock, the interpreter's start included; also of processor time, rounded up."""
    memory: int = 512 << 20
    """Bytes of address space."""
    processes: int = 8
    """Processes and threads at once."""
    file_size: int = 1 << 20
    """Bytes of one file."""
    open_files: int = 64
    output: int = 16 << 10
    """Bytes of output kept; what is beyond is thrown away."""


@attrs.frozen(kw_only=True)
class Outcome:
    """How a run ended."""

    kind: Kind
    """`passed`; `failed`: a test's assertion; `error`: another exception; `timeout`; `killed`: a signal, mostly a
    limit; `exited`: the process ended before the tests did; `no_code`: the answer holds none."""
    message: str = ""
    """The exception on one line."""
    output: str = ""
    seconds: float = 0.0
    isolation: Isolation = "none"


@attrs.frozen(kw_only=True)
class Job:
    """Code, and tests that are appended to it."""

    code: str
    tests: str
    limits: Limits = Limits()


def code_of(text: str) -> str:
    """The Python of an answer: its fenced blocks marked as Python or not at all, joined; else the whole text.

    Where several blocks define the same names, the last one alone counts; of blocks that define nothing, those that
    only import count beside others.
    """
    from afterburn_core.probes.claims import spoken

    text = spoken(text)
    found = [match.group(3) for match in _FENCE.finditer(text) if match.group(2).lower() in _PYTHON]
    blocks = [(block, _defined(block)) for block in map(textwrap.dedent, found)]
    if not blocks:
        return text
    if not any(names for _, names in blocks):
        return blocks[-1][0]
    seen: set[str] = set()
    kept: list[str] = []
    for block, names in reversed(blocks):
        if (names and not names & seen) or (not names and _imports(block)):
            kept.insert(0, block)
        seen |= names
    return "\n".join(kept)


def _defined(block: str) -> set[str]:
    """Names of functions and classes, and of what is assigned at the left margin."""
    defined = re.findall(r"^(?:(?:async\s+)?def|class)\s+(\w+)", block, re.M)
    return {*defined, *re.findall(r"^(\w+)\s*=[^=]", block, re.M)}


def _imports(block: str) -> bool:
    lines = [line for line in block.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return bool(lines) and all(line.startswith(("import ", "from ")) for line in lines)


_PYTHON = {"", "python", "py", "python3", "py3"}


def run_answer(probe: Probe, text: str, *, allow: bool, limits: Limits | None = None) -> Outcome:
    """Runs the code in `text` with the tests of `probe` (`properties["tests"]`).

    Raises:
        ConfigError: running code is not allowed, or this system cannot limit a process.
    """
    return run_all([(probe, text)], allow=allow, limits=limits)[0]


def run_all(
    answers: Iterable[tuple[Probe, str]], *, allow: bool, limits: Limits | None = None, workers: int | None = None
) -> tuple[Outcome, ...]:
    """Runs many answers, a few at a time; the outcomes are in the order of the answers.

    Raises:
        ConfigError: as `run_answer`.
    """
    jobs = []
    for probe, text in answers:
        own = probe.properties.get("timeout")
        given = limits or (Limits(seconds=float(own)) if isinstance(own, (int, float)) else Limits())
        jobs.append(Job(code=code_of(text), tests=str(probe.properties.get("tests", "")), limits=given))
    _refuse(allow)
    with ThreadPoolExecutor(max_workers=workers or min(4, os.cpu_count() or 1)) as pool:
        return tuple(pool.map(lambda job: run(job, allow=allow), jobs))


def run(job: Job, *, allow: bool) -> Outcome:
    """Runs one job.

    Raises:
        ConfigError: as `run_answer`.
    """
    _refuse(allow)
    if not job.code.strip():
        return Outcome(kind="no_code", message="the answer holds no code")
    if not job.tests.strip():
        raise ConfigError("a code problem has no tests; write Python in properties.tests")
    directory = tempfile.mkdtemp(prefix="afterburn-code-")
    try:
        return _run(job, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _refuse(allow: bool) -> None:
    if not allow:
        raise ConfigError("code that a model wrote is not run unless allowed; add --allow-code-execution")
    if os.name != "posix":
        raise ConfigError("code is not run here: limits on memory and time need Linux or macOS")


def _run(job: Job, directory: str) -> Outcome:
    nonce = secrets.token_hex(16).encode()
    nonce_out, nonce_in = os.pipe()
    report_out, report_in = os.pipe()
    started = time.monotonic()
    payload = json.dumps(
        {
            "code": job.code,
            "tests": job.tests,
            "directory": directory,
            "nonce": nonce_out,
            "report": report_in,
            "seconds": job.limits.seconds,
            "memory": job.limits.memory,
            "processes": job.limits.processes,
            "file_size": job.limits.file_size,
            "open_files": job.limits.open_files,
            "open_to_all": _open_to_all(),
        }
    ).encode()
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output:
        given.write(payload)
        given.seek(0)
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_CHILD)],
            stdin=given,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={},
            pass_fds=(nonce_out, report_in),
            start_new_session=True,
        )
        os.close(nonce_out)
        os.close(report_in)
        try:
            os.write(nonce_in, nonce)
        except BrokenPipeError:
            pass
        finally:
            os.close(nonce_in)
        timed_out = False
        try:
            child.wait(timeout=max(0.0, job.limits.seconds - (time.monotonic() - started)))
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            _kill(child)
        os.set_blocking(report_out, False)
        try:
            report = os.read(report_out, _MOST_REPORT)
        except BlockingIOError:  # somebody who got away holds the other end
            report = b""
        finally:
            os.close(report_out)
        output.seek(0)
        text = output.read(job.limits.output).decode(errors="replace")
    return _judged(report, nonce, child.returncode, timed_out, text, time.monotonic() - started)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Ends the child and its process group; what left the group dies with the child's process namespace."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()
    child.wait()


def _judged(report: bytes, nonce: bytes, code: int | None, timed_out: bool, output: str, seconds: float) -> Outcome:
    isolation: Isolation = "none"
    kind: Kind = "exited"
    message = f"the process ended with code {code} before the tests did"
    for line in report.split(b"\n"):
        name, _, rest = line.partition(b" ")
        text = rest.decode(errors="replace")
        if name == b"isolation" and isolation == "none" and text in ("namespace", "audit"):
            isolation = "namespace" if text == "namespace" else "audit"
        elif name == b"passed" and rest == nonce:
            kind, message = "passed", ""
        elif name in (b"failed", b"error") and kind == "exited":
            kind, message = ("failed" if name == b"failed" else "error"), text
    if timed_out and kind == "exited":
        kind, message = "timeout", f"not finished after {seconds:.1f} s"
    elif kind == "exited" and code is not None and (code < 0 or code > 128):
        number = -code if code < 0 else code - 128
        named = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        kind, message = ("timeout" if named == "SIGXCPU" else "killed"), f"ended by {named}"
    return Outcome(kind=kind, message=message, output=output, seconds=seconds, isolation=isolation)


def _open_to_all() -> bool:
    """Whether another user could read the interpreter's library: only then may the child become nobody."""
    paths: Sequence[Path] = (Path(os.__file__).resolve(), Path(sys.executable).resolve())
    for path in paths:
        if not path.stat().st_mode & 0o004:
            return False
        if any(not parent.stat().st_mode & 0o001 for parent in path.parents):
            return False
    return True
