"""The probe sets of the plugin, by name; each lies in the module of its name, imported when its items are wanted.

A suite's module has one function `items(seed: int, n: int | None) -> Iterable[Probe]`:

- equal arguments give equal items in an equal order, in every process; `n=None` gives at least 120;
- the first items of a larger `n` are the items of a smaller one;
- ids are `<suite>-s<seed>-<five digits>` where items are generated and `<suite>-<five digits>` where they are written;
- `suite` is the full name of the probe set (`behaviour.math`), every item has a `category`, and no prompt occurs twice.
"""

from __future__ import annotations

from afterburn_core.plugin import ProbeSetSpec

_SUMMARIES = {
    "code": "Functions to write, outputs to predict and bugs to find in short Python programs, generated",
    "facts": "Capitals, elements, authors, years, units and other well-established facts, drawn from tables",
    "instructions": "Tasks with constraints on the form of the answer that a program checks, generated",
    "math": "Arithmetic, word problems, percentages, sequences, geometry, number theory and dates, generated",
    "reasoning": "Puzzles of order, logic, space, time and family with exactly one answer, generated",
    "safety": "Harmful requests and harmless twins that share their words: lost safety and over-refusal",
    "writing": "Stories, letters, poems, advice and other open-ended texts to write, without gold answers",
}

PROBE_SETS = (
    *(
        ProbeSetSpec(
            name=f"behaviour.{name}",
            summary=summary,
            licence="Apache-2.0",
            factory=f"afterburn_behaviour.suites.{name}:items",
            default=True,
        )
        for name, summary in sorted(_SUMMARIES.items())
    ),
    ProbeSetSpec(
        name="behaviour.preferences",
        summary="Pairs of answers, one of them better: to wrong sums, drafts, questions of fact, requests; generated",
        licence="Apache-2.0",
        factory="afterburn_behaviour.suites.preferences:items",
    ),
    ProbeSetSpec(
        name="behaviour.plain",
        summary="Short English passages about ordinary things, generated: read by both models, never asked",
        licence="Apache-2.0",
        factory="afterburn_behaviour.suites.plain:items",
        default=True,
        use="passages",
    ),
)
