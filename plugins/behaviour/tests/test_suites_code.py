"""The suite `code`: reference solutions pass their tests in the sandbox, stubs fail, predicted outputs are printed."""

from __future__ import annotations

import contextlib
import io
import os
import re

import attrs
import pytest

from afterburn_behaviour.suites.code import items
from afterburn_core.probes.checkers import check
from afterburn_core.probes.model import Probe
from afterburn_core.probes.sandbox import Job, run_all

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits")


def of(category: str, seed: int = 0) -> list[Probe]:
    return [probe for probe in items(seed, None) if probe.category == category]


def kinds(answers: list[tuple[Probe, str]]) -> list[str]:
    return [outcome.kind for outcome in run_all(answers, allow=True)]


def test_reference_solutions_pass_and_stubs_fail() -> None:
    probes = of("write_function")
    assert kinds([(probe, f"```python\n{probe.gold}```") for probe in probes]) == ["passed"] * len(probes)
    stubs = []
    for probe in probes:
        name, arguments = re.findall(r"`(\w+)(\([^)]*\))`", probe.text)[0]
        value = re.findall(r" == (.*)", probe.properties["tests"])[0]
        stubs.append((probe, f"def {name}{arguments}:\n    return {value}\n"))  # right on the first case alone
    assert set(kinds(stubs)) == {"failed"}


def test_the_task_without_its_modifier_fails() -> None:
    probes = [probe for probe in of("write_function", seed=1) if "plain_result" in str(probe.gold)][:12]
    plain = []
    for probe in probes:
        inner = str(probe.gold).split("\n\n\n")[0]
        plain.append((probe, inner.replace("plain_result", probe.properties["kind"])))
    assert set(kinds(plain)) == {"failed"}


def test_programs_print_what_is_gold() -> None:
    for seed in (0, 1, 2):
        for probe in of("predict_output", seed):
            (source,) = re.findall(r"```python\n(.*?)```", probe.text, re.S)
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(source, "program", "exec"), {})
            assert printed.getvalue().strip() == probe.gold
            assert check(probe, f"It prints:\n\n{probe.gold}") is True


def test_bugs_are_on_the_line_that_is_gold_and_nowhere_else() -> None:
    probes = of("find_bug")
    broken, mended = [], []
    for probe in probes:
        runnable = attrs.evolve(probe, checker="code")
        shown = re.findall(r"^\d+  (.*)$", probe.text, re.M)
        assert "\n".join(shown) + "\n" == probe.properties["broken"]
        line = int(probe.choices[ord(str(probe.gold)) - ord("A")].removeprefix("line "))
        broken.append((runnable, probe.properties["broken"]))
        shown[line - 1] = probe.properties["mended"].split("\n")[line - 1]
        assert "\n".join(shown) + "\n" == probe.properties["mended"]
        mended.append((runnable, probe.properties["mended"]))
    assert "passed" not in kinds(broken)
    assert set(kinds(mended)) == {"passed"}


def test_tests_have_edge_cases() -> None:
    for probe in of("write_function"):
        assert probe.properties["tests"].count("assert ") >= 5
    assert Job(code="x", tests="y").limits.seconds > 0
