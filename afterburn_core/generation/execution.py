"""Runs the code that models wrote against the tests of its probes, once for all analyzers, where the user allows it.

A probe whose prompt shows some of its tests (`properties["visible_tests"]`) is run three times: against all tests,
against those shown, and against the rest, so that analyzers can tell a solution of the task from one of its tests.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

import attrs

from afterburn_core.generation.answering import Answers
from afterburn_core.generation.model import Sample
from afterburn_core.probes.model import Probe

CHECKER = "code"


def executed(answers: Mapping[str, Answers], probes: Sequence[Probe]) -> dict[str, Answers]:
    """The answers, those to code problems with labels of what became of the program.

    | label | is |
    |---|---|
    | `is_correct` | whether all tests passed |
    | `execution` | how that run ended (`sandbox.Kind`) |
    | `visible_passed` | whether the tests passed that the prompt shows, where it shows some |
    | `hidden_passed` | whether the others passed, where it shows some and there are others |

    What a recording has labelled stays as it is. Each program runs in a child process of its own, without network.

    Raises:
        ConfigError: this system cannot limit a process.
    """
    problems = {probe.id: _Problem.of(probe) for probe in probes if probe.checker == CHECKER}
    marked: dict[str, dict[tuple[str, int], Sample]] = {role: dict(own) for role, own in answers.items()}
    _run(marked, problems, ("is_correct",))
    for own in marked.values():
        for key, sample in own.items():
            problem = problems.get(key[0])
            if problem is not None and problem.nested and sample.labels.get("execution") == "passed":
                parts = {name: True for name in ("visible_passed", "hidden_passed") if name in problem.tests}
                own[key] = attrs.evolve(sample, labels={**parts, **sample.labels})
    _run(marked, problems, ("visible_passed", "hidden_passed"))
    return dict(marked)


@attrs.frozen(kw_only=True)
class _Problem:
    """A probe with its sets of tests."""

    probe: Probe
    tests: Mapping[str, str]
    """By the label that says whether they passed."""
    nested: bool
    """Whether the tests that are shown are among all tests."""

    @classmethod
    def of(cls, probe: Probe) -> _Problem:
        tests, visible = (str(probe.properties.get(name) or "") for name in ("tests", "visible_tests"))
        shown = {"visible_passed": visible, "hidden_passed": hidden_tests(tests, visible)} if visible.strip() else {}
        own = {name: text for name, text in shown.items() if text.strip()}
        return cls(probe=probe, tests={"is_correct": tests, **own}, nested=_asserted(visible) <= _asserted(tests))


def _run(
    marked: Mapping[str, dict[tuple[str, int], Sample]], problems: Mapping[str, _Problem], labels: tuple[str, ...]
) -> None:
    """Runs the programs against the tests of these labels, those that are labelled aside, and labels them."""
    from afterburn_core.probes.sandbox import run_all

    jobs = [
        (role, key, label, problems[key[0]], sample)
        for role, own in marked.items()
        for key, sample in own.items()
        if key[0] in problems
        for label in labels
        if label in problems[key[0]].tests and label not in sample.labels
    ]
    asked = [
        (attrs.evolve(one.probe, properties={**one.probe.properties, "tests": one.tests[label]}), sample.text)
        for *_, label, one, sample in jobs
    ]
    outcomes = run_all(asked, allow=True) if asked else ()
    for (role, key, label, _, _), outcome in zip(jobs, outcomes, strict=True):
        told = {label: outcome.kind == "passed"} | ({"execution": outcome.kind} if label == "is_correct" else {})
        sample = marked[role][key]
        marked[role][key] = attrs.evolve(sample, labels={**sample.labels, **told})


def hidden_tests(tests: str, visible: str) -> str:
    """The tests without the assertions that are shown; what they import or define stays. Empty where none is left."""
    shown = _asserted(visible)
    try:
        kept = [node for node in ast.parse(tests).body if not isinstance(node, ast.Assert) or _key(node) not in shown]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    if not any(isinstance(node, ast.Assert) for node in kept):
        return ""
    return ast.unparse(ast.Module(body=kept, type_ignores=[])) + "\n"


def _asserted(tests: str) -> frozenset[str]:
    """The assertions at the left margin, in one spelling."""
    try:
        return frozenset(_key(node) for node in ast.parse(tests).body if isinstance(node, ast.Assert))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()


def _key(node: ast.Assert) -> str:
    return ast.dump(node.test)
