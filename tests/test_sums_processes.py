"""Sums taken in processes of their own, in an interpreter without torch, as a quick run on large models has it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from afterburn_core.testing.pairs import planted_pair

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

SCRIPT = """
import json, os, signal, sys
from afterburn_core.run import sums_processes
from afterburn_core.run.parts import PartReader
sums_processes.WORTHWHILE = 0
readers = []
made = sums_processes.ProcessReader.__init__
def remember(self, *arguments):
    made(self, *arguments)
    readers.append(self)
sums_processes.ProcessReader.__init__ = remember
if sys.argv[4] == "killed":
    ask = sums_processes.ProcessReader.read
    def kill_first(self, *arguments, **options):
        os.kill(self._process.pid, signal.SIGKILL)
        return ask(self, *arguments, **options)
    sums_processes.ProcessReader.read = kill_first
from afterburn_core.errors import AfterburnError
from afterburn_core.plugin.registry import Registry
from afterburn_core.run.configuration import Settings
from afterburn_core.run.diagnose import diagnose
settings = Settings(
    base=sys.argv[1], trained=sys.argv[2], run_dir=sys.argv[3], preset="quick", cache=False, device="cpu",
    threads=int(sys.argv[5]),
)
try:
    diagnose(settings, Registry.discover(only=("weight",)))
    fault = None
except AfterburnError as error:
    fault = str(error)
print(json.dumps({"processes": len(readers), "torch": "torch" in sys.modules, "fault": fault,
                  "alive": sum(reader._process.is_alive() for reader in readers)}))
"""


def run(tmp_path: Path, pair: object, name: str, *, how: str = "", threads: int = 2) -> dict[str, object]:
    arguments = [str(pair.base), str(pair.trained), str(tmp_path / name), how, str(threads)]  # type: ignore[attr-defined]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def numbers(tmp_path: Path, name: str) -> dict[str, float]:
    document = json.loads((tmp_path / name / "result.json").read_text())
    return {m["id"]: m["value"] for m in document["measurements"]}


def test_processes_find_what_one_thread_finds_to_the_last_bit(tmp_path: Path) -> None:
    pair = planted_pair(tmp_path, noise=1e-2)
    several = run(tmp_path, pair, "several")
    assert several == {"processes": 2, "torch": False, "fault": None, "alive": 0}
    assert run(tmp_path, pair, "one", threads=1)["processes"] == 0
    assert numbers(tmp_path, "several") == numbers(tmp_path, "one")


def test_a_process_that_is_killed_ends_the_run_in_one_line(tmp_path: Path) -> None:
    found = run(tmp_path, planted_pair(tmp_path, noise=1e-2), "killed", how="killed")
    assert found["alive"] == 0
    assert isinstance(found["fault"], str) and "ended from outside" in found["fault"]
    assert "\n" not in found["fault"]
    assert not (tmp_path / "killed" / "result.json").exists()
