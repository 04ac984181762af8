"""What a check of a certificate comes to, and how one is made: whatever goes wrong inside it refuses the certificate.

Every check has an id that stays the same from release to release, so that a script may ask for one by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs

from afterburn_core.certify.encoding import Invalid
from afterburn_core.errors import AfterburnError
from afterburn_core.report.inert import one_line

Status = Literal["ok", "failed", "skipped"]
T = TypeVar("T")

_LONGEST = 400  # characters of a message; what is quoted in it may come from a stranger


@attrs.frozen(kw_only=True)
class Check:
    """One line of a verification."""

    id: str
    status: Status
    message: str
    """One line, free of control characters, whatever the certificate holds."""
    code: str | None = None
    """Which rule was broken (`envelope.signature`); for `failed` alone."""
    details: tuple[str, ...] = ()
    """What the message counts, one by one, such as the files that differ."""
    asked: bool = True
    """False where a check was skipped because nobody asked for it; `strict` leaves such a check alone."""


@attrs.frozen(kw_only=True)
class Facts:
    """What a certificate whose signature holds says of itself, in the words of whoever signed it."""

    identity: str
    """SHA-256 of the signed payload: which certificate this is."""
    certificate_id: str
    issued_at: str
    issuer: str | None
    """Legal name; `None` where the certificate gives none."""
    role: str | None
    model: str | None
    """Name of the trained model."""
    base: str | None
    """Name of the base model; `None` where there was none."""
    overall: str
    """PASS, FAIL or INCOMPLETE."""
    counts: Mapping[str, int]
    """Tests by verdict."""
    supersedes: str | None = None
    """Identity of the certificate in whose place this one stands."""


@attrs.frozen(kw_only=True)
class Verification:
    """All checks of one pack, in their order."""

    pack: Path
    checks: tuple[Check, ...]
    facts: Facts | None = None
    """`None` where the signature does not hold: then nothing in the certificate may be believed or shown."""

    @property
    def verified(self) -> bool:
        """Whether nothing failed and the signature was checked."""
        return self.facts is not None and not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status == "failed")

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of what failed, in the order of the checks."""
        return tuple(check.code for check in self.failures if check.code is not None)


@attrs.frozen
class Skip:
    """Returned by a check that could not be made."""

    reason: str
    asked: bool = attrs.field(default=True, kw_only=True)


Outcome = str | Skip | Sequence[Invalid]
"""What holds, in words; why nothing was looked at; or everything that is wrong."""


class DetailedInvalid(Invalid):
    """A refusal that names each of several things, such as files."""

    def __init__(self, code: str, message: str, details: Sequence[str]) -> None:
        super().__init__(code, message)
        self.details = tuple(one_line(detail)[:_LONGEST] for detail in details)


def checked(identifier: str, check: Callable[[], Outcome]) -> Check:
    """The check, made. A refusal fails it, and so does anything unforeseen: what cannot be checked is not verified."""
    try:
        outcome = check()
    except Invalid as error:
        return _failed(identifier, error)
    except AfterburnError as error:
        return Check(id=identifier, status="failed", message=clipped(str(error)), code=f"{identifier}.unreadable")
    except OSError as error:
        message = f"{Path(str(error.filename or 'a file')).name}: cannot be read ({error.strerror or error})"
        return Check(id=identifier, status="failed", message=clipped(message), code=f"{identifier}.unreadable")
    except Exception as error:  # noqa: BLE001 - hostile input found a gap; refuse, never wave through
        message = f"could not be checked: {type(error).__name__}: {error}"
        return Check(id=identifier, status="failed", message=clipped(message), code="internal")
    if isinstance(outcome, Skip):
        return Check(id=identifier, status="skipped", message=clipped(outcome.reason), asked=outcome.asked)
    if isinstance(outcome, str):
        return Check(id=identifier, status="ok", message=clipped(outcome))
    if not outcome:
        return Check(id=identifier, status="failed", message="could not be checked", code="internal")
    first, *others = outcome
    if not others:
        return _failed(identifier, first)
    message = f"{len(outcome)} faults; the first: {first}"
    details = tuple(clipped(f"{error.code}: {error}") for error in outcome)
    return Check(id=identifier, status="failed", message=clipped(message), code=first.code, details=details)


class Log:
    """The checks of one pack as they are made, each handing on what the next ones need."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def take(self, identifier: str, work: Callable[[], T | Skip], said: str | Callable[[T], str]) -> T | None:
        """What `work` gives, noted as a check that holds; `None` where there was nothing or it was refused."""
        found: list[T] = []

        def make() -> str | Skip:
            value = work()
            if isinstance(value, Skip):
                return value
            found.append(value)
            return said if isinstance(said, str) else said(value)

        return found[0] if self.note(identifier, make) else None

    def note(self, identifier: str, check: Callable[[], Outcome]) -> bool:
        """Makes a check; whether it holds."""
        self.checks.append(checked(identifier, check))
        return self.checks[-1].status == "ok"

    def skip(self, identifiers: Sequence[str], reason: str) -> None:
        """Notes checks that make no sense any more, since an earlier one failed."""
        self.checks += [Check(id=name, status="skipped", message=reason, asked=False) for name in identifiers]


def clipped(text: str) -> str:
    """One harmless line of bounded length."""
    line = one_line(text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def strictly(checks: Sequence[Check]) -> Iterator[Check]:
    """The checks, where what was asked for and could not be made counts as failed."""
    for check in checks:
        if check.status == "skipped" and check.asked:
            yield attrs.evolve(check, status="failed", code=f"{check.id}.skipped", message=f"skipped: {check.message}")
        else:
            yield check


def as_json(verification: Verification) -> dict[str, Any]:
    """For machines; `code` and `details` are present where there are any."""
    checks = []
    for check in verification.checks:
        entry: dict[str, Any] = {"id": check.id, "status": check.status, "message": check.message}
        if check.code is not None:
            entry["code"] = check.code
        if check.details:
            entry["details"] = list(check.details)
        if not check.asked:
            entry["asked"] = False
        checks.append(entry)
    facts = None if verification.facts is None else attrs.asdict(verification.facts)
    return {"pack": str(verification.pack), "verified": verification.verified, "certificate": facts, "checks": checks}


def _failed(identifier: str, error: Invalid) -> Check:
    details = getattr(error, "details", ())
    return Check(id=identifier, status="failed", message=clipped(str(error)), code=error.code, details=tuple(details))
