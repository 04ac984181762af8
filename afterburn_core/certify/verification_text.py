"""What a verification found, for a person at a terminal: one line per check, and what it comes to in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from afterburn_core.certify.checks import Check, Facts, Verification, clipped
from afterburn_core.certify.verdicts import WORDS

_WORDS = {"ok": "ok", "failed": "FAILED", "skipped": "-"}
_MARGIN = 20  # columns before the text of a check: its outcome and its id
_MOST = 20  # details shown; JSON has them all

_OUTCOMES = {
    "PASS": "every required test passed",
    "FAIL": "a test failed, and no waiver covers it",
    "INCOMPLETE": "not everything required was tested or decided",
}


def lines(verification: Verification, *, width: int = 80) -> Iterator[str]:
    """The lines to print, none longer than `width` columns except where a single word is."""
    facts = verification.facts
    yield f"Certificate in {_shortened(clipped(str(verification.pack)), width - 15)}"
    if facts is not None:
        yield from _wrapped(_about(facts), width, indent="  ")
    yield ""
    for alike in _gathered(verification.checks):
        yield from _check(alike[0], width) if len(alike) == 1 else _skipped(alike, width)
    yield ""
    yield from _conclusion(verification, width)


def _shortened(path: str, width: int) -> str:
    return path if len(path) <= width else f"…{path[1 - width :]}"


def _about(facts: Facts) -> str:
    return clipped(
        f"{facts.model or 'a model'} compared with {facts.base or 'no base model'}; "
        f"signed for {facts.issuer or 'an issuer that gives no name'} ({facts.role or 'role not stated'}), "
        f"issued {facts.issued_at}, id {facts.certificate_id}"
    )


def _gathered(checks: Sequence[Check]) -> Iterator[list[Check]]:
    """Neighbours that were skipped for one reason stand together."""
    for _, group in groupby(checks, key=lambda check: (check.status, check.message)):
        found = list(group)
        yield from [found] if found[0].status == "skipped" else ([check] for check in found)


def _skipped(alike: Sequence[Check], width: int) -> Iterator[str]:
    names = ", ".join(check.id for check in alike)
    head = f"{_WORDS['skipped']:<7} "
    yield from _wrapped(f"{names}: {alike[0].message}", width, first=head, indent=" " * len(head))


def _check(check: Check, width: int) -> Iterator[str]:
    head = f"{_WORDS[check.status]:<7} {check.id:<11} "
    text = check.message if check.code is None else f"{check.message} [{check.code}]"
    yield from _wrapped(text, width, first=head, indent=" " * _MARGIN)
    for detail in check.details[:_MOST]:
        yield from _wrapped(detail, width, first=" " * _MARGIN + "· ", indent=" " * (_MARGIN + 2))
    if len(check.details) > _MOST:
        yield from _wrapped(f"and {len(check.details) - _MOST} more; --json lists all", width, indent=" " * _MARGIN)


def _conclusion(verification: Verification, width: int) -> Iterator[str]:
    failed, facts = len(verification.failures), verification.facts
    if not verification.verified or facts is None:
        count = f"{failed} of {len(verification.checks)} checks failed"
        yield from _wrapped(f"NOT VERIFIED: {count}. Do not rely on this certificate.", width)
        return
    held = sum(check.status == "ok" for check in verification.checks)
    skipped = [check.id for check in verification.checks if check.status == "skipped"]
    rest = f" Not checked: {', '.join(skipped)}." if skipped else ""
    yield from _wrapped(f"VERIFIED: {held} checks hold.{rest}", width)
    if any(check.id == "key" and "from the pack itself" in check.message for check in verification.checks):
        yield from _wrapped("The key came from the pack itself, so nothing shows who signed.", width)
    if "model" in skipped:
        yield from _wrapped("No model was compared with it: --model DIR says whether yours is the audited one.", width)
    told = ", ".join(f"{facts.counts[word]} {word}" for word in WORDS if facts.counts[word])
    yield from _wrapped(
        f"The certificate says {facts.overall}: {_OUTCOMES.get(facts.overall, '')} (tests: {told}).", width
    )
    yield from _wrapped(
        "This shows who signed which numbers about which files. Whether the numbers are true, and whether the key is "
        "the issuer's, it cannot show.",
        width,
    )


def _wrapped(text: str, width: int, *, first: str = "", indent: str = "") -> list[str]:
    start = first or indent
    return textwrap.wrap(
        text, width, initial_indent=start, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [start.rstrip()]
