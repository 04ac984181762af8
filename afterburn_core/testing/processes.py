"""Runs a few lines in a fresh interpreter that imports from the same places as this one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from afterburn_core.testing.kit import fail

_FRAME = """
import json, sys
path, blocked, argument = json.loads(sys.argv[1])
sys.path[:] = path
for name in blocked:
    sys.modules[name] = None
answer = None
exec(compile(sys.argv[2], "<conformance check>", "exec"))
print("answer:" + json.dumps(answer))
"""


def python_json(code: str, argument: Any, *, blocked: tuple[str, ...] = ()) -> Any:
    """What `code` leaves in the variable `answer`, given `argument`; both travel as JSON.

    Args:
        code: Python source.
        argument: bound to the name `argument`.
        blocked: packages whose import fails there, as if they were not installed.

    Raises:
        CheckFailed: the code raised; the message ends with the last line of its traceback.
    """
    payload = json.dumps([sys.path, list(blocked), argument])
    finished = subprocess.run(
        [sys.executable, "-c", _FRAME, payload, code], capture_output=True, text=True, check=False, timeout=120
    )
    if finished.returncode:
        lines = finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"]
        fail(f"in a fresh interpreter{_without(blocked)}: {lines[-1]}")
    answers = [line for line in finished.stdout.splitlines() if line.startswith("answer:")]
    return json.loads(answers[-1].removeprefix("answer:"))


def _without(blocked: tuple[str, ...]) -> str:
    return f" without {', '.join(blocked)}" if blocked else ""
