"""Runs the code that models wrote against the tests of its probes, once for all analyzers, where the user allows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from afterburn_core.generation.answering import Answers
from afterburn_core.generation.model import Sample
from afterburn_core.probes.model import Probe

CHECKER = "code"


def executed(answers: Mapping[str, Answers], probes: Sequence[Probe]) -> dict[str, Answers]:
    """The answers, those to code problems with the labels `is_correct` and `execution` (what became of the program).

    What a recording has labelled stays as it is. Each program runs in a child process of its own, without network.

    Raises:
        ConfigError: this system cannot limit a process.
    """
    from afterburn_core.probes.sandbox import run_all

    by_id = {probe.id: probe for probe in probes if probe.checker == CHECKER}
    jobs = [
        (role, key, sample)
        for role, own in answers.items()
        for key, sample in own.items()
        if key[0] in by_id and "is_correct" not in sample.labels
    ]
    outcomes = run_all([(by_id[key[0]], sample.text) for _, key, sample in jobs], allow=True) if jobs else ()
    marked: dict[str, dict[tuple[str, int], Sample]] = {role: dict(own) for role, own in answers.items()}
    for (role, key, sample), outcome in zip(jobs, outcomes, strict=True):
        labels = {**sample.labels, "is_correct": outcome.kind == "passed", "execution": outcome.kind}
        marked[role][key] = attrs.evolve(sample, labels=labels)
    return dict(marked)
