"""A table of facts and the questions that can be asked of it.

A row is `subject=answer`; other wordings of either follow after `|`, wrong answers that people often give after `!`.
Rows are parted by `;`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs


@attrs.frozen(kw_only=True)
class Fact:
    """One row of a table."""

    subject: str
    answer: str
    accept: tuple[str, ...] = ()
    """Other wordings of the answer."""
    aliases: tuple[str, ...] = ()
    """Other wordings of the subject."""
    rivals: tuple[str, ...] = ()
    """Wrong answers that are often given."""


@attrs.frozen(kw_only=True)
class Relation:
    """Facts of one kind. No subject occurs twice; several may have one answer."""

    name: str
    category: str
    questions: tuple[str, ...]
    """With `{subject}`."""
    facts: tuple[Fact, ...]
    checker: Literal["text", "number", "exact"] = "text"


def facts_of(table: str, *, plural: bool = False) -> tuple[Fact, ...]:
    """The rows of a table; `plural` accepts every wording with an `s` behind it, too."""
    return tuple(_fact(row, plural) for row in table.split(";") if row.strip())


def reversed_facts(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """From the answer to the subject, for tables in which no answer occurs twice."""
    return tuple(Fact(subject=fact.answer, answer=fact.subject, accept=fact.aliases) for fact in facts)


def _fact(row: str, plural: bool) -> Fact:
    named, _, said = row.partition("=")
    subject, *aliases = (" ".join(text.split()) for text in named.split("|"))
    right, *wrong = said.split("!")
    answer, *accept = (" ".join(text.split()) for text in right.split("|"))
    if plural:
        accept = [*accept, *(f"{text}s" for text in (answer, *accept))]
    return Fact(
        subject=subject,
        answer=answer,
        accept=tuple(accept),
        aliases=tuple(aliases),
        rivals=tuple(" ".join(text.split()) for text in wrong),
    )
