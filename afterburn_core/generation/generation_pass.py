"""The generation pass: every subject answers the same probes, one subject after the other, and analyzers get pairs.

Models are resident one at a time (`sides`): a subject answers everything and is freed before the next one loads. A
control that cannot answer is left out, with a note; base and trained have to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.errors import SubjectError
from afterburn_core.generation.answering import Answers, keeping_of
from afterburn_core.generation.asking import Asking
from afterburn_core.generation.execution import executed
from afterburn_core.generation.follow_ups import converse
from afterburn_core.generation.model import Decoding, GenerationFacts, Generator, Request, Responses, Sample, Serving
from afterburn_core.generation.requests import make_requests
from afterburn_core.generation.scoring import Scoring
from afterburn_core.generation.sides import Side, generators
from afterburn_core.probes.model import Probe
from afterburn_core.result.model import Notification
from afterburn_core.run.progress import Progress


@attrs.frozen(kw_only=True)
class Generated:
    """What the pass hands on."""

    responses: tuple[Responses, ...]
    """One per probe, in the order of the probes; empty after an interruption."""
    facts: Mapping[str, GenerationFacts]
    counters: Mapping[str, int]
    notes: tuple[Notification, ...] = ()
    stopped: str | None = None


@attrs.frozen(kw_only=True)
class GenerationPass:
    """What all subjects are asked, and how."""

    asking: Asking
    decoding: Decoding
    serving: Serving
    seed: int
    choices: bool
    cache: Path | None
    """Root of the cache; `None` keeps nothing."""
    progress: Progress
    allow_code_execution: bool = False
    scoring: Scoring | None = None
    """The user's own measures of every answer; `None` for none."""

    def run(self, sides: Sequence[Side]) -> Generated:
        """Lets every side answer.

        Ctrl-C ends the pass; what was finished is in the cache, and the next run goes on from there.

        Raises:
            SubjectError: a model cannot be loaded or cannot answer.
        """
        answers: dict[str, Answers] = {}
        unfit: list[Notification] = []
        facts: dict[str, GenerationFacts] = {}
        cached = 0
        stopped = None
        wanted = self.asking.turns * self.asking.samples
        asked_of = generators(sides, self.decoding, self.serving)
        for place, (side, generator) in enumerate(asked_of):
            role = side.subject.id
            seed = self.seed if side.seed is None else side.seed
            verb = "is read" if side.subject.kind == "recorded" else "writes"
            own: dict[tuple[str, int], Sample] = {}
            interrupted = False
            try:
                self.progress.begin(f"{role} {verb}", wanted, "samples")
                # what was recorded is kept already
                cache = None if side.subject.kind == "recorded" else self.cache
                keeping = keeping_of(cache, side.subject, generator, self.serving)
                for asked in self.asking.sets:
                    requests = make_requests(asked.probes, samples=self.asking.samples, seed=seed, choices=self.choices)
                    requests, note = _fitting(requests, generator, role)
                    unfit += note
                    answered = converse(requests, asked.probes, generator, keeping, self.progress.advance)
                    own.update(answered.answers)
                    cached += answered.from_cache
                    if answered.note is not None:
                        unfit.append(Notification(level="warning", message=f"{role}: {answered.note}"))
                    if answered.interrupted:
                        interrupted = True
                        break
                facts[role] = generator.facts
            except KeyboardInterrupt:  # while a model was being loaded
                interrupted = True
            except SubjectError as error:
                if not side.control:
                    raise
                unfit.append(Notification(level="warning", message=f"{role} is left out: {error}"))
                continue
            finally:
                self.progress.end()
                if all(generator is not later for _, later in asked_of[place + 1 :]):
                    generator.close()
            answers[role] = own
            if interrupted:
                stopped = (
                    f"stopped by the user after {_finished(own)} of {wanted} samples of {role}; run again to go on"
                )
                break
        probes = [probe for asked in self.asking.sets for probe in asked.probes]
        if self.allow_code_execution and not stopped:
            answers = executed(answers, probes)
        if self.scoring is not None and not stopped:
            answers = self.scoring.scored(answers, probes)
        responses = () if stopped else tuple(_responses(probe, answers, facts, self.asking.samples) for probe in probes)
        return Generated(
            responses=responses,
            facts=facts,
            counters=_counters(answers, cached, len(probes)),
            notes=(*unfit, *_notes(responses)),
            stopped=stopped,
        )


def _finished(own: Answers) -> int:
    return sum(1 + len(sample.replies) for sample in own.values())


def _fitting(
    requests: tuple[Request, ...], generator: Generator, role: str
) -> tuple[tuple[Request, ...], list[Notification]]:
    """The requests less those whose prompts leave no room for an answer, and what to say of these.

    Raises:
        SubjectError: none is left.
    """
    find: Callable[[Sequence[Request]], Mapping[str, str]] | None = getattr(generator, "unfit", None)
    unfit = find(requests) if find is not None else {}
    if not unfit:
        return requests, []
    named = "; ".join(f"{name!r} ({why})" for name, why in list(unfit.items())[:3])
    more = f" and {len(unfit) - 3} more" if len(unfit) > 3 else ""
    kept = tuple(request for request in requests if request.probe not in unfit)
    if not kept:
        raise SubjectError(f"{role}: no prompt fits: {named}{more}; ask shorter ones with --suite or --prompts")
    message = f"{len(unfit)} prompts do not fit {role} and were not asked: {named}{more}"
    return kept, [Notification(level="warning", message=message)]


def _responses(
    probe: Probe, answers: Mapping[str, Answers], facts: Mapping[str, GenerationFacts], samples: int
) -> Responses:
    """Every sample that came, in order; one that is missing takes none of the later ones with it."""

    def of(role: str) -> tuple[Sample, ...]:
        own = answers.get(role, {})
        return tuple(own[probe.id, index] for index in range(samples) if (probe.id, index) in own)

    controls = {role: of(role) for role in answers if role not in {"base", "trained"}}
    return Responses(probe=probe, base=of("base"), trained=of("trained"), controls=controls, facts=facts)


def _counters(answers: Mapping[str, Answers], cached: int, prompts: int) -> dict[str, int]:
    samples = [sample for own in answers.values() for sample in own.values()]
    replies = sum(len(sample.replies) for sample in samples)
    return {
        "prompts": prompts,
        "samples": len(samples),
        **({"replies": replies} if replies else {}),
        "from_cache": cached,
        "tokens": sum(sum(filter(None, (sample.tokens, *sample.reply_tokens))) for sample in samples),
    }


def _notes(responses: Sequence[Responses]) -> list[Notification]:
    """Prompts that only one side answered: they drop out of every contrast."""
    notes = []
    for role, other in (("base", "trained"), ("trained", "base")):
        alone = [r.probe.id for r in responses if getattr(r, role) and not getattr(r, other)]
        if alone:
            named = ", ".join(alone[:3]) + (" …" if len(alone) > 3 else "")
            message = f"{len(alone)} prompts were answered by {role} alone and are left out of contrasts: {named}"
            notes.append(Notification(level="warning", message=message))
    return notes


def facts_to_properties(facts: Mapping[str, GenerationFacts]) -> dict[str, Any]:
    """How the texts came about, for the document."""
    return {role: attrs.asdict(own) for role, own in sorted(facts.items())}
