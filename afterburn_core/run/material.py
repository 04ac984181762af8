"""What models are given to read in a run: texts, given answers, and from which sources there will be passages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.forward.continuations import continuation_passages, continued
from afterburn_core.forward.passages import ANSWERED, SAMPLES, gather, given_of, texts_of
from afterburn_core.generation.model import Decoding, Responses
from afterburn_core.probes.suites import AskedSet
from afterburn_core.result.model import Input, Notification
from afterburn_core.run.needs import EncodeNeed, ForwardNeed, LiveNeed, Need, Source
from afterburn_core.run.subjects import OpenSubject
from afterburn_core.run.workload import Reading

if TYPE_CHECKING:
    from afterburn_core.forward.model import Passage
    from afterburn_core.generation.asking import Asking
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.run.configuration import Settings

_CHARACTERS = 4
"""Per token, for the estimate: English text in the vocabularies of language models."""


@attrs.frozen(kw_only=True)
class Material:
    """What there is to read besides what is asked and answered."""

    texts: tuple[AskedSet, ...] = ()
    given: tuple[AskedSet, ...] = ()
    """Sets of given answers that analyzers name."""
    encoded: tuple[AskedSet, ...] = ()
    """Sets of texts for embedding models."""
    reason: str | None = None
    """Why the two models cannot read the same tokens, if they cannot."""
    answers: Input | None = None
    """The earlier run whose answers are read."""

    def reading(self, settings: Settings, asking: Asking, decoding: Decoding) -> Reading:
        """How much that is, for the plan."""
        probes = [probe for asked in asking.sets for probe in asked.probes]
        prompts = sum(len(probe.text) for probe in probes) // _CHARACTERS
        most, samples = ANSWERED[settings.preset], SAMPLES[settings.preset]
        asked = len(probes) if most is None else min(len(probes), most)
        each = asking.samples if samples is None else min(samples, asking.samples)
        answers = 2 * asked * each
        follow = [list(continuation_passages(probe)) for probe in continued(probes, settings)]
        mean = prompts / len(probes) if probes else 0
        return Reading(
            passages={
                "text": sum(one.n for one in self.texts),
                "prompt": len(probes),
                # an earlier run's answers are counted when they are read
                "answer": answers or int(settings.answers is not None),
                "continuation": sum(map(len, follow)),
                "given": sum(one.n for one in self.given),
            },
            tokens=int(
                _tokens((*self.texts, *self.given))
                + prompts
                + answers * (mean + decoding.max_new_tokens)
                + sum(len(passage.text) // _CHARACTERS + mean for own in follow for passage in own)
            ),
            reason=self.reason,
            encoded=sum(one.n for one in self.encoded),
        )

    def passages(
        self, sources: Iterable[Source], settings: Settings, asking: Asking, responses: Sequence[Responses]
    ) -> tuple[Passage, ...]:
        """All passages of the wanted sources."""
        return gather(
            sources=sources, texts=self.texts, asking=asking, responses=responses, settings=settings, given=self.given
        )

    def remarks(self) -> tuple[Notification, ...]:
        """What to say of how the texts were drawn, such as that a corpus was cut."""
        return tuple(Notification(level="note", message=note) for one in self.texts for note in one.notes)

    def inputs(self) -> tuple[Input, ...]:
        """Their entries in the document."""
        sets = {one.name: one for one in (*self.texts, *self.given, *self.encoded)}
        corpora = (attrs.evolve(sets[name].to_input(), id=f"corpus.{name}", kind="corpus") for name in sorted(sets))
        return (*corpora, *(() if self.answers is None else (self.answers,)))


def material_of(
    settings: Settings, registry: Registry, subjects: Sequence[OpenSubject], needs: Sequence[Need]
) -> Material:
    """What the two subjects can be given to read for these needs.

    Raises:
        ConfigError, SubjectError: a corpus, a named set or the earlier run's answers are missing or faulty.
    """
    forward = [need for need in needs if isinstance(need, ForwardNeed)]
    encode = [need for need in needs if isinstance(need, EncodeNeed)]
    live = any(isinstance(need, LiveNeed) for need in needs)
    answers = None
    if settings.answers is not None:
        from afterburn_core.forward.earlier import input_of_run

        answers = input_of_run(settings.answers)  # a fault in it is told now, not hours later behind the writing
    reads = bool(forward or live) and _all_can(subjects, "forward")
    encodes = bool(encode) and _all_can(subjects, "encode")
    if not (reads or encodes):
        return Material()
    texts = texts_of(settings, registry)
    given = given_of({name for need in forward for name in need.passage_sets}, settings, registry) if reads else ()
    named = {name for need in encode for name in need.passage_sets} if encodes and not settings.corpus else set()
    return Material(
        texts=texts if reads else (),
        given=given,
        encoded=(*texts, *given_of(named, settings, registry)) if encodes else (),
        reason=different_tokens(*subjects) if reads else None,
        answers=answers if reads else None,
    )


def different_tokens(base: OpenSubject, trained: OpenSubject) -> str | None:
    """Why the two models do not read the same ids as the same texts; `None` where they do.

    Tokens that only one of them has do not matter: no shared text holds them.
    """
    if getattr(trained, "base", None) is base and not _own_tokenizer(base, trained):
        return None
    left, right = (_vocabulary(subject) for subject in (base, trained))
    if left is None or right is None:
        return None
    moved = [token for token, number in left.items() if right.get(token, number) != number]
    shared = len(left.keys() & right.keys())
    if not moved and shared >= min(len(left), len(right)):
        return None
    count = len(moved) or min(len(left), len(right)) - shared
    example = f", such as {moved[0]!r}" if moved else ""
    return (
        f"the two tokenizers differ ({count} tokens{example}), so the models cannot read the same ids; compare what "
        "they write instead"
    )


def _own_tokenizer(base: OpenSubject, adapter: OpenSubject) -> bool:
    return adapter.documents().get("vocabulary") is not base.documents().get("vocabulary")


def _vocabulary(subject: OpenSubject) -> Mapping[str, Any] | None:
    return subject.documents().get("vocabulary") if "documents" in subject.facts.capabilities else None


def _all_can(subjects: Sequence[OpenSubject], capability: str) -> bool:
    return all(capability in subject.facts.capabilities for subject in subjects)


def _tokens(sets: Iterable[AskedSet]) -> int:
    return sum(len(probe.text) // _CHARACTERS for one in sets for probe in one.probes)
