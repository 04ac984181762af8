"""What a run would ask models to write and read, and what that costs; pure, for the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from afterburn_core.run.needs import EncodeNeed, ForwardNeed, LiveNeed, Need, PassKind
from afterburn_core.run.subjects import SubjectFacts

# parameters times tokens per second of batched decoding on two cores
WRITING_RATE = 20e9
# the same of reading whole passages, both models
READING_RATE = 40e9


@attrs.frozen(kw_only=True)
class Writing:
    """What a generation pass would ask of every subject."""

    prompts: int = 0
    follow_ups: int = 0
    """Further turns of all prompts together."""
    samples: int = 1
    max_new_tokens: int = 0
    judge: bool = False
    """Whether a third model compares answers."""

    @property
    def detail(self) -> str:
        each = f" × {self.samples} samples" if self.samples > 1 else ""
        more = f" and {self.follow_ups} follow-ups" if self.follow_ups else ""
        return f"{self.prompts} prompts{more}{each}, up to {self.max_new_tokens} tokens each"

    def seconds(self, subjects: Sequence[SubjectFacts]) -> float:
        """Estimated wall time if every text were as long as allowed; nothing for recorded and served subjects."""
        tokens = (self.prompts + self.follow_ups) * self.samples * self.max_new_tokens
        return sum(tokens * facts.parameters / WRITING_RATE for facts in subjects)


@attrs.frozen(kw_only=True)
class Reading:
    """What a forward pass would read with every subject."""

    passages: Mapping[str, int] = attrs.field(factory=dict)
    """How many of each source (`run.needs.Source`)."""
    tokens: int = 0
    """Estimated tokens of all of them."""
    reason: str | None = None
    """Why the two models cannot read the same tokens, if they cannot."""
    encoded: int = 0
    """Texts of which embedding models would make vectors."""

    @property
    def detail(self) -> str:
        named = ", ".join(f"{n} {_PLURALS[source]}" for source, n in self.passages.items() if n)
        return f"{named}; about {self.tokens} tokens"

    def seconds(self, subjects: Sequence[SubjectFacts]) -> float:
        """Estimated wall time of reading it all once with every subject."""
        return sum(self.tokens * facts.parameters / READING_RATE for facts in subjects)


_PLURALS = {
    "text": "texts",
    "prompt": "prompts",
    "answer": "answers",
    "continuation": "continuations",
    "given": "given answers",
}


MODELS_RUN = frozenset({"generation", "forward", "encode", "live"})
"""Passes on which models run; the others read their files."""


def asked_seconds(kind: PassKind, writing: Writing, reading: Reading, subjects: Sequence[SubjectFacts]) -> float:
    """Estimated wall time of a pass on which models run. What analyzers ask of live models is theirs to choose: they
    are taken to ask about as much again as the passages."""
    return writing.seconds(subjects) if kind == "generation" else reading.seconds(subjects)


def detail_of(kind: PassKind, writing: Writing, reading: Reading) -> str:
    details = {
        "generation": writing.detail,
        "forward": reading.detail,
        "encode": f"{reading.encoded} texts",
        "live": "both models in memory, asked by the analyzers",
    }
    return details.get(kind, "")


def unread(needs: Sequence[Need], reading: Reading) -> str | None:
    """Why nobody reads for an analyzer; `None` where somebody does, or where it needs no reading."""
    if any(isinstance(need, (ForwardNeed, LiveNeed)) for need in needs) and reading.reason is not None:
        return reading.reason
    for need in needs:
        if isinstance(need, ForwardNeed) and not any(reading.passages.get(source) for source in need.sources):
            named = " or ".join(_PLURALS[source] for source in need.sources)
            return f"needs {named} to read, and there are none"
        if isinstance(need, EncodeNeed) and not reading.encoded:
            return "needs texts, and there are none; name some with --corpus"
    return None
