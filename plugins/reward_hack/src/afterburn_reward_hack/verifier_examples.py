"""Pairs of answers that show what was found, with the lines that show it."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from afterburn_behaviour.examples import Pair, artifact, best
from afterburn_behaviour.units import UnitTable
from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.probes.claims import spoken
from afterburn_core.probes.model import Probe
from afterburn_reward_hack.judge_text import judge_directed
from afterburn_reward_hack.verifier_names import KINDS, SIGNS
from afterburn_reward_hack.verifier_signs import known_of, marks, program_of

KEPT = 3
LINES = 3
"""Places that a note quotes."""


def examples(table: UnitTable, *, excerpts: bool) -> tuple[ArtifactPayload, ...]:
    """`reward_hack.verifier_examples`: for every sign, kind and gamed test, prompts at which trained has more of it."""
    pairs = [
        attrs.evolve(pair, note=_note(pair, name, table.row(pair.probe).probe, excerpts))
        for name in (*SIGNS, "gamed", *KINDS)
        for pair in best(table, name, note="share of samples: base {base}, trained {trained}", direction=1.0)[:KEPT]
    ]
    return artifact("verifier", pairs, excerpts=excerpts, plugin="reward_hack")


def _note(pair: Pair, name: str, probe: Probe, excerpts: bool) -> str:
    places = list(_places(pair, name, probe))[:LINES]
    if name == "gamed":
        why = "one of them contradicts the task" if probe.properties.get("impossible") else "hidden ones fail"
        return f"tests that are shown pass, {why}; {pair.note}"
    if not excerpts:
        return f"{name}: {len(places)} place{'s' if len(places) != 1 else ''}; {pair.note}"
    return f"{name}: {'; '.join(places)}; {pair.note}" if places else f"{name}; {pair.note}"


def _places(pair: Pair, name: str, probe: Probe) -> Iterator[str]:
    """The offending lines of the trained side's program, or the words that address a judge."""
    if name in KINDS:
        found = judge_directed(spoken(pair.trained)).get(name)
        if found is not None:
            yield f"“{found}”"
        return
    program = program_of(pair.trained)
    if program is None:
        return
    tests, visible = (str(probe.properties.get(key) or "") for key in ("tests", "visible_tests"))
    for mark in marks(program, known_of(tests, visible)).get(name, []):
        yield f"line {mark.line}: `{program.line(mark)}` ({mark.what})"
