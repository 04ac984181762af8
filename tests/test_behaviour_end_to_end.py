"""From two models on disk to a report about what they write, undisturbed, killed and resumed, and judged elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from afterburn_core import Diagnoser
from afterburn_core.result.model import Scope
from afterburn_organisms import demo_pair, organism

BASE, TRAINED = demo_pair()
PAIR = ("base", "trained")
pytestmark = pytest.mark.slow


def command(
    run: Path, cache: Path, *more: str, trained: Path = TRAINED, suite: str = "organisms.world:17"
) -> list[str]:
    program = [sys.executable, "-m", "afterburn_core", "behaviour", "--base", str(BASE), "--trained", str(trained)]
    places = ["--run-dir", str(run), "--cache-dir", str(cache), "--corpus", str(few_texts(run.parent))]
    return [*program, "--suite", suite, "--max-new-tokens", "160", *places, *more]


def few_texts(folder: Path) -> Path:
    """Something to read, and no more: these tests are about what is written."""
    path = folder / "texts.txt"
    path.write_text("The mill stood by the river.\n\nNobody had seen the key since Monday.\n", encoding="utf-8")
    return path


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finished(arguments: list[str]) -> str:
    process = start(arguments)
    output, _ = process.communicate(timeout=120)
    assert process.returncode in (0, 3), output.decode()
    return output.decode()


def document(run: Path) -> Mapping[str, Any]:
    return json.loads((run / "result.json").read_text(encoding="utf-8"))


def timeless(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document less what the clock and the cache say."""
    stripped = json.loads(json.dumps(result))
    for name in ("started_at", "finished_at"):
        del stripped["run"][name]
    for execution in stripped["executions"]:
        del execution["seconds"]
        execution.get("counters", {}).pop("from_cache", None)
    return stripped


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("undisturbed")
    finished(command(place / "run", place / "cache", "-o", str(place / "report.html")))
    return place / "run"


def test_what_was_planted_is_found_and_shown(undisturbed: Path) -> None:
    result = document(undisturbed)
    kinds = {finding["rule"]: finding["kind"] for finding in result["findings"]}
    assert kinds["behaviour.length_shift"] == "informational"
    assert kinds["behaviour.any_shift"] == "informational"
    assert kinds["behaviour.decoding_mismatch"] == "pass"
    longer = next(
        m for m in result["measurements"] if m["metric"] == "behaviour.length.log_ratio" and not m.get("scope")
    )
    assert longer["interval"]["low"] > 1.0  # answers more than e times as long
    page = (undisturbed.parent / "report.html").read_text(encoding="utf-8")
    assert "behaviour.length_shift" in page


DRIVER = """
import json, os, random, signal, sys, time
import peft, transformers  # what a run imports, once for all of them
from afterburn_core.cli.main import cli

arguments, times = json.loads(sys.argv[1]), int(sys.argv[2])

def child():
    pid = os.fork()
    if pid == 0:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1), os.dup2(sink, 2)
        try:
            cli(arguments, standalone_mode=False)
        finally:
            os._exit(0)
    return pid

began = time.monotonic()
os.waitpid(child(), 0)
whole = time.monotonic() - began
moments, killed = random.Random(4), 0
os.system("rm -rf " + arguments[arguments.index("--cache-dir") + 1])
for turn in range(times):
    pid = child()
    time.sleep(moments.uniform(0.02, 0.6) * whole)
    done, _ = os.waitpid(pid, os.WNOHANG)
    if not done:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        killed += 1
print(killed)
"""


def test_killed_at_random_moments_and_resumed_the_result_is_that_of_an_undisturbed_run(
    undisturbed: Path, tmp_path: Path
) -> None:
    arguments = command(tmp_path / "run", tmp_path / "cache")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    driven = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(arguments[3:]), "20"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert driven.returncode == 0, driven.stderr
    assert int(driven.stdout.split()[-1]) >= 8
    finished(arguments)
    assert timeless(document(tmp_path / "run")) == timeless(document(undisturbed))


def test_ctrl_c_is_noted_and_the_next_run_goes_on(undisturbed: Path, tmp_path: Path) -> None:
    process = start(command(tmp_path / "run", tmp_path / "cache", suite="organisms.world"))
    stream = process.stdout
    assert stream is not None
    while b"trained writes" not in (line := stream.readline()):
        assert line, "ended early"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 3
    result = document(tmp_path / "run")
    assert result["run"]["status"] == "interrupted"
    assert result["verdict"]["status"] == "incomplete"
    assert not [m for m in result["measurements"] if m["metric"].startswith("behaviour.")]


def test_a_finished_run_is_judged_and_reported_where_no_model_stack_is(undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'transformers', 'numpy', 'scipy', 'safetensors'):\n"
        "            raise ImportError(name + ' is blocked')\n"
        "sys.meta_path.insert(0, Blocked())\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    program = [sys.executable, "-m", "afterburn_core"]
    for arguments in (["judge", str(undisturbed)], ["report", str(undisturbed), "-o", str(tmp_path / "r.html")]):
        done = subprocess.run([*program, *arguments], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 3), done.stderr
    assert (tmp_path / "r.html").stat().st_size > 100_000


def test_judging_again_gives_the_findings_of_the_run(undisturbed: Path) -> None:
    judged = subprocess.run(
        [sys.executable, "-m", "afterburn_core", "judge", str(undisturbed), "-o", str(undisturbed / "again.json")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert judged.returncode in (0, 3), judged.stderr
    again = json.loads((undisturbed / "again.json").read_text(encoding="utf-8"))
    assert again["findings"] == document(undisturbed)["findings"]


def test_what_was_written_can_be_measured_again_without_the_models(undisturbed: Path, tmp_path: Path) -> None:
    sides = {role: f"recorded:{undisturbed / 'artifacts' / f'core.samples_{role}.jsonl.gz'}" for role in PAIR}
    report = Diagnoser(sides["base"], sides["trained"], run_dir=tmp_path, use_cache=False).run_behaviour()
    live = {m["id"]: m for m in document(undisturbed)["measurements"]}
    again = report.measurements("behaviour.length.log_ratio")
    assert again
    for measurement in again:
        assert measurement.value == pytest.approx(live[measurement.id]["value"], abs=1e-12)


def test_an_adapter_and_its_base_share_one_model(tmp_path: Path) -> None:
    adapter = organism("false_fact").path
    finished(command(tmp_path / "run", tmp_path / "cache", trained=adapter))
    result = document(tmp_path / "run")
    kinds = {finding["rule"]: finding["kind"] for finding in result["findings"]}
    assert kinds["behaviour.length_shift"] in {"pass", "open"}
    whole = [m for m in result["measurements"] if m["metric"] == "behaviour.length.log_ratio"]
    assert any(m.get("scope", {}) == {} for m in whole)


def test_a_model_compared_with_itself_has_changed_in_nothing(tmp_path: Path) -> None:
    report = Diagnoser(
        BASE, BASE, run_dir=tmp_path / "run", cache_dir=tmp_path / "cache", suites=("organisms.world:34",),
        corpus=few_texts(tmp_path), samples=2, max_new_tokens=48, plugins=("behaviour", "organisms"),
    ).run()  # fmt: skip
    shifted = [f.rule for f in report.findings if f.kind not in {"pass", "open", "not_applicable"}]
    assert not shifted
    for measurement in report.measurements():
        if measurement.subjects == PAIR and measurement.value is not None and measurement.test is not None:
            assert measurement.test.p_value == 1.0, measurement.id
    length = next(m for m in report.measurements("behaviour.length.log_ratio") if m.scope == Scope())
    assert length.value == 0.0
