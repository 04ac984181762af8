"""Several certificates presented together: does one replace another, and is any identity used twice?"""

from __future__ import annotations

from collections.abc import Sequence

from afterburn_core.certify.checks import Check, Facts, Outcome, Skip, Verification, checked
from afterburn_core.certify.encoding import Invalid


def others(own: Verification, every: Sequence[Verification]) -> Check:
    """The check of one pack against the others; those whose signature does not hold have no say."""
    return checked("others", lambda: _among(own, every))


def _among(own: Verification, every: Sequence[Verification]) -> Outcome:
    facts = own.facts
    if facts is None:
        return Skip("not compared with the others: it was refused", asked=False)
    rest = [(other.pack.name, other.facts) for other in every if other is not own and other.facts is not None]
    for name, other in rest:
        if other.supersedes == facts.identity:
            raise Invalid("others.superseded", f"was replaced by the certificate in {name}, issued {other.issued_at}")
    for name, other in rest:
        if other.certificate_id == facts.certificate_id and other.identity != facts.identity:
            raise Invalid("others.repeated_id", f"the certificate in {name} has the same id and says something else")
    same = [name for name, other in rest if other.identity == facts.identity]
    if same:
        return f"the same certificate is in {', '.join(same)}"
    replaced = [name for name, other in rest if facts.supersedes == other.identity]
    return f"replaces the certificate in {', '.join(replaced)}" if replaced else _unrelated(facts, len(rest))


def _unrelated(facts: Facts, count: int) -> str:
    return f"compared with {count} more: none replaces this one or has its id"
