"""The fence around code that models write: what it must stop, and that nothing passes whose tests did not run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from afterburn_core.errors import ConfigError
from afterburn_core.generation.execution import executed
from afterburn_core.generation.model import Sample
from afterburn_core.probes import sandbox
from afterburn_core.probes.model import Probe
from afterburn_core.probes.sandbox import Job, Limits, Outcome, code_of, run, run_all, run_answer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits")
TESTS = "assert f(2) == 4\nassert f(-3) == 9\n"
GOOD = "def f(x):\n    return x * x\n"


def go(code: str, tests: str = TESTS, seconds: float = 5.0) -> Outcome:
    return run(Job(code=code, tests=tests, limits=Limits(seconds=seconds)), allow=True)


def isolated() -> bool:
    return go(GOOD).isolation == "namespace"


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (GOOD, "passed", ""),
        ("def f(x):\n    return x\n", "failed", "AssertionError"),
        ("def f(x)\n    return x\n", "error", "SyntaxError"),
        ("def f(x):\n    return y\n", "error", "NameError"),
        ("", "no_code", "no code"),
        ("raise SystemExit\n", "exited", "before the tests"),
        ("import sys\nsys.exit(0)\n", "exited", "code 0"),
        ("import os\nos._exit(0)\n", "exited", "code 0"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", None, ""),
        ("def f(x):\n    import sys\n    sys.exit(0)\n", "exited", "before the tests"),
        ("print('passed')\nraise ValueError('x')\n", "error", "ValueError: x at solution.py:2"),
        ("import builtins\nbuiltins.AssertionError = KeyError\ndef f(x): return 0\n", None, ""),
        ("import threading, os\nthreading.Timer(0.2, lambda: os._exit(0)).start()\nwhile True: pass\n", "exited", ""),
    ],
)  # fmt: skip
def test_how_runs_end(code: str, kind: str | None, told: str) -> None:
    outcome = go(code)
    assert outcome.kind == kind if kind else outcome.kind != "passed"
    assert told in outcome.message


SPOOF = "class A:\n    def __init__(s, v): s.v = v\n    def __eq__(s, o): return {}\ndef f(x): return {}\n"


@pytest.mark.parametrize(
    ("code", "tests", "kind"),
    [
        (SPOOF.format("True", "A(x)"), TESTS, "failed"),
        (SPOOF.format("isinstance(o, int)", "A(x)"), TESTS, "failed"),
        (SPOOF.format("True", "[{1: A(x)}]"), "assert f(2) == [{1: 9}]", "failed"),
        ("import os\nos.urandom = lambda n: b'0' * n\n" + SPOOF.format("1", "A(x)"), TESTS, "failed"),
        ("import builtins\nbuiltins.type = lambda *a: int\n" + SPOOF.format("True", "A(x)"), TESTS, "failed"),
        # honest objects of their own kind
        (SPOOF.format("s.v == o", "A(x * x)"), TESTS, "passed"),
        ("from fractions import Fraction\ndef f(x): return Fraction(x * x)", TESTS, "passed"),
        ("from collections import Counter as f", "assert f('aab') == {'a': 2, 'b': 1}\nassert f('x') != {}", "passed"),
    ],
)
def test_equality_is_not_left_to_the_solution(code: str, tests: str, kind: str) -> None:
    assert go(code, tests).kind == kind


def test_tests_that_are_shown_are_told_from_hidden_ones() -> None:
    shown = "assert f(2) == 4\n"
    asked = Probe(id="x", prompt="?", checker="code", properties={"tests": TESTS, "visible_tests": shown})
    odd = Probe(
        id="odd", prompt="?", checker="code", properties={"tests": TESTS, "visible_tests": "assert f(2) == 5\n"}
    )
    texts = [GOOD, "def f(x):\n    return 4\n", "def f(x):\n    return 9\n", "import sys\nsys.exit(0)\n"]
    own = {("x", index): Sample(index=index, text=text) for index, text in enumerate(texts)}
    own["odd", 0] = Sample(index=0, text="def f(x):\n    return 5 if x == 2 else x * x\n")
    own["x", 4] = Sample(index=4, text=GOOD, labels={"is_correct": False, "visible_passed": False})
    found = executed({"base": own}, [asked, odd])["base"]
    names = ("is_correct", "visible_passed", "hidden_passed")
    assert {key: tuple(sample.labels[name] for name in names) for key, sample in found.items()} == {
        ("x", 0): (True, True, True),
        ("x", 1): (False, True, False),
        ("x", 2): (False, False, True),
        ("x", 3): (False, False, False),  # nothing passes whose tests did not run
        ("x", 4): (False, False, True),  # what was recorded stays
        ("odd", 0): (False, True, False),
    }
    assert found["x", 3].labels["execution"] == "exited"


def test_a_report_without_the_nonce_passes_nothing() -> None:
    forged = (
        "import os\nfor number in range(3, 64):\n    try:\n        os.write(number, b'passed 0123456789abcdef\\n')\n"
        "    except OSError:\n        pass\nos._exit(0)\n"
    )
    assert go(forged).kind == "exited"


def test_an_endless_loop_ends_in_time() -> None:
    started = time.monotonic()
    outcome = go("while True:\n    pass\n", seconds=1)
    assert outcome.kind == "timeout"
    assert time.monotonic() - started < 3


def test_memory_is_limited() -> None:
    assert go("x = 'a' * (4 << 30)\n").kind in ("error", "killed")
    assert go("x = []\nwhile True:\n    x.append(bytearray(1 << 20))\n").kind in ("error", "killed")


def survivors() -> list[str]:
    """Fenced processes that are left: this test's own and orphans, not those of tests that run beside this one."""
    left = []
    for pid in filter(str.isdigit, os.listdir("/proc") if Path("/proc").is_dir() else ()):
        try:
            if b"sandbox_child" not in (Path("/proc") / pid / "cmdline").read_bytes():
                continue
            ancestors = []
            while pid not in ("0", "1"):
                ancestors.append(pid)
                pid = (Path("/proc") / pid / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:  # gone meanwhile
            continue
        if str(os.getpid()) in ancestors or str(os.getppid()) not in ancestors:
            left.append(ancestors[0])
    return left


def test_forking_is_bounded_and_nothing_survives() -> None:
    mark = f"afterburn-{os.getpid()}-{time.monotonic_ns()}"
    bomb = (
        "import os, time\n"
        "for _ in range(200):\n    try:\n        os.fork()\n    except OSError:\n        break\n"
        f"MARK = {mark!r}\ntime.sleep(30)\n"
    )
    started = time.monotonic()
    assert go(bomb, seconds=1.5).kind == "timeout"
    assert time.monotonic() - started < 5
    if isolated():
        alive = survivors()
        assert not alive


def test_the_number_of_processes_is_limited() -> None:
    code = (
        "import os, time\nstarted = 0\nfor _ in range(60):\n    try:\n        if os.fork() == 0:\n"
        "            time.sleep(20)\n            os._exit(0)\n        started += 1\n"
        "    except OSError:\n        break\nprint(started)\n"
    )
    outcome = go(code + GOOD)
    assert outcome.kind == "passed"
    assert int(outcome.output) <= Limits().processes


def test_a_process_that_leaves_the_group_does_not_survive() -> None:
    if not isolated():
        pytest.skip("needs namespaces")
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(60)\n    os._exit(0)\n" + GOOD
    )
    outcome = go(code)
    assert outcome.kind == "passed"
    time.sleep(0.2)
    assert not survivors()


def test_the_network_is_refused_even_on_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        port = server.getsockname()[1]
        outcome = go(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=1)\n")
        assert outcome.kind == "error"
        with pytest.raises(TimeoutError):
            server.accept()


def test_writing_outside_of_the_directory_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    target = tmp_path / "written"
    outcome = go(f"open({str(target)!r}, 'w').write('x')\n" + GOOD)
    assert outcome.kind == "error" and "PermissionError" in outcome.message
    assert not target.exists()
    inside = go("open('here', 'w').write('x')\nassert open('here').read() == 'x'\n" + GOOD)
    assert inside.kind == "passed"


def test_files_and_output_are_limited() -> None:
    assert go("open('big', 'wb').write(b'x' * (4 << 20))\n" + GOOD).kind == "error"
    outcome = go("print('x' * 100_000)\n" + GOOD)
    assert outcome.kind == "passed" and len(outcome.output) <= Limits().output


def test_the_environment_and_the_directory_are_empty_and_go_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "1234")
    outcome = go("import os\nprint(sorted(os.environ), os.listdir('.'), os.getcwd())\n" + GOOD)
    assert outcome.kind == "passed"
    assert "SECRET" not in outcome.output and "[]" in outcome.output
    assert not Path(outcome.output.split()[-1]).exists()


def test_input_is_empty() -> None:
    assert go("input()\n").kind == "error"


def test_nothing_runs_without_permission() -> None:
    asked = Probe(id="x", prompt="?", checker="code", gold="-", properties={"tests": TESTS})
    with pytest.raises(ConfigError, match="--allow-code-execution"):
        run(Job(code=GOOD, tests=TESTS), allow=False)
    with pytest.raises(ConfigError, match="--allow-code-execution"):
        run_answer(asked, GOOD, allow=False)


def test_many_answers_run_at_once_and_keep_their_order() -> None:
    asked = Probe(id="x", prompt="?", checker="code", gold="-", properties={"tests": TESTS, "timeout": 4})
    answers = [f"```python\n{GOOD}```" if i % 3 else "def f(x):\n    return 0\n" for i in range(12)]
    kinds = [outcome.kind for outcome in run_all(((asked, answer) for answer in answers), allow=True, workers=4)]
    assert kinds == ["passed" if i % 3 else "failed" for i in range(12)]


def test_it_runs_in_threads_and_leaves_no_descriptors() -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    kinds: list[str] = []
    threads = [threading.Thread(target=lambda: kinds.append(go(GOOD).kind)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds == ["passed"] * 4
    assert not before or len(os.listdir("/proc/self/fd")) == before


WEAKER = """
import os, sys
sys.argv = ["child"]
source = open({path!r}).read()
space = {{"__name__": "child"}}
exec(compile(source, {path!r}, "exec"), space)
space["_separate"] = lambda job: False
space["main"]()
"""


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (GOOD, "passed"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 9), timeout=1)\n", "error"),
        ("import os\nos.system('true')\n", "error"),
        ("import subprocess\nsubprocess.run(['true'])\n", "error"),
        ("import os\nos.fork()\n", "error"),
        ("import ctypes\nctypes.CDLL(None)\n", "error"),
        ("open('/tmp/afterburn-outside', 'w')\n", "error"),
        ("import os\nos.mkdir('/tmp/afterburn-outside')\n", "error"),
        ("open('inside', 'w').write('x')\n" + GOOD, "passed"),
        ("import sys\nsys.exit(0)\n", "exited"),
    ],
)
def test_without_namespaces_the_interpreter_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, kind: str
) -> None:
    child = tmp_path / "child.py"
    child.write_text(WEAKER.format(path=str(sandbox._CHILD)))
    monkeypatch.setattr(sandbox, "_CHILD", child)
    outcome = go(code)
    assert (outcome.kind, outcome.isolation) == (kind, "audit")
    if kind == "error":
        assert "PermissionError" in outcome.message


def test_the_child_imports_nothing_of_ours() -> None:
    program = (
        f"import runpy, sys; runpy.run_path({str(sandbox._CHILD)!r}); "
        "print(sorted(m for m in sys.modules if m.startswith(('afterburn', 'numpy', 'attr'))))"
    )
    listed = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert listed.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1", "x = 1"),
        ("```python\nx = 1\n```", "x = 1\n"),
        ("```\nx = 1\n```\n```bash\nls\n```", "x = 1\n"),
        ("```py\nimport os\n```\n```py\ndef f(): pass\n```\n```py\nf()\n```", "import os\n\ndef f(): pass\n"),
        ("```py\ndef f(): return 1\n```\n```py\ndef f(): return 2\n```", "def f(): return 2\n"),
        ("<think>```py\nx = 1\n```</think>```py\nx = 2\n```", "x = 2\n"),
        ("```py\nx = 1", "x = 1"),
    ],
)
def test_the_code_of_an_answer(text: str, code: str) -> None:
    assert code_of(text) == code
