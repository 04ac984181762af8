"""Verifies evidence packs: the checks in their order, each a line, none of them able to crash.

Order matters. Nothing in the payload is parsed before its signature holds, and nothing of the predicate is believed
before it satisfies its schema. The public key, the model and the timestamp authority's root come from the caller, never
from the pack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.certify import checks_among, checks_content, checks_files, checks_pdf
from afterburn_core.certify.aside import Aside, Job
from afterburn_core.certify.checks import Check, Facts, Log, Outcome, Skip, Verification, strictly
from afterburn_core.certify.encoding import Invalid, read
from afterburn_core.certify.envelope import BUNDLE_NAME, DRAFT_NAME, Opened, open_bundle, open_payload, require_p256
from afterburn_core.certify.statement import BASE_SUMS, TRAINED_SUMS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    from afterburn_core.run.progress import Progress

__all__ = ["CHECKS", "Request", "verify", "verify_all"]

CHECKS = {
    "key": "the key that was given",
    "pack": "the files of the pack",
    "signature": "the bundle's form and signature",
    "statement": "the signed payload's form",
    "subject": "the list of the audited model's files",
    "predicate": "the content's schema",
    "verdicts": "every verdict from its numbers",
    "result": "the run's document",
    "rejudged": "the findings, from the measurements",
    "test_result": "the test-result beside the certificate",
    "timestamp": "when it was signed",
    "base_list": "the list of the base model's files",
    "model": "the model's files",
    "base": "the base model's files",
    "pdf": "the PDF's seal and content",
    "rerender": "the PDF's pages",
    "others": "the certificates presented together",
}
"""Every check in its order, and what it looks at."""

KNOWN = frozenset(
    {
        *(BUNDLE_NAME, DRAFT_NAME, TRAINED_SUMS, BASE_SUMS, checks_content.PROJECTION_NAME, checks_pdf.PDF_NAME),
        *("result.json", "artifacts", "VERIFY.txt", "seal.pub", "seal.crt", "chain.pem", "root.crt"),
        *("trained.oms.sig", "base.oms.sig", "certificate.keyless.sigstore.json"),
    }
)
"""Files of a pack. `VERIFY.txt`, the keys and the certificates among them are for convenience and not covered."""


@attrs.frozen(kw_only=True)
class Request:
    """What whoever verifies brings, and what they ask for."""

    key: Path | EllipticCurvePublicKey
    """The issuer's public key, from a place other than the pack."""
    model: Path | None = None
    """The model to be compared with the audited one."""
    base: Path | None = None
    rejudge: bool = False
    """Whether the detectors judge the run's document again."""
    rerender: bool = False
    require_timestamp: bool = False
    tsa_root: Path | None = None
    """Certificates (PEM) of the timestamp authorities that are trusted."""
    strict: bool = False
    """Whether a check that was asked for and could not be made fails."""
    threads: int | None = None
    progress: Progress | None = None
    aside: Aside | None = None
    """The process that checks PDFs meanwhile; without it they are checked in this one."""


def verify_all(packs: Sequence[Path], request: Request) -> tuple[Verification, ...]:
    """Each pack verified, and all of them against each other."""
    found = tuple(_verified(pack, request) for pack in packs)
    if len(packs) > 1:
        found = tuple(attrs.evolve(one, checks=(*one.checks, checks_among.others(one, found))) for one in found)
    if request.strict:
        found = tuple(attrs.evolve(one, checks=tuple(strictly(one.checks))) for one in found)
    return found


def verify(pack: Path, request: Request) -> Verification:
    """One pack verified."""
    return verify_all((pack,), request)[0]


def _verified(pack: Path, request: Request) -> Verification:
    log = Log()
    opened = _opened(log, pack, request)
    if opened is None:
        return _refused(log, pack, "nothing shows who wrote it")
    key, bundle, content = opened
    statement = log.take("statement", lambda: open_payload(content.payload), "strict JSON, in its one canonical form")
    if statement is None:
        return _refused(log, pack, "the statement was refused")
    sums = pack / TRAINED_SUMS
    trained = log.take("subject", lambda: checks_files.subject(statement, _present(sums), TRAINED_SUMS), _listing)
    known = log.take("predicate", lambda: _content(statement, key, trained), _format)
    if known is None:
        return _refused(log, pack, "the content was refused")
    predicate = known[0]
    page = _page(pack, bundle, key, predicate, request)
    follows = log.note("verdicts", lambda: checks_content.verdicts(predicate))
    run = log.take("result", lambda: checks_content.result(pack, predicate, trained, compare=follows), _document)
    log.note("rejudged", lambda: _rejudged(run[0] if run and follows else None, pack, predicate, request))
    log.note("test_result", lambda: checks_content.projection(pack, predicate, _present(sums), key))
    stamped = partial(checks_content.timestamp, content, request.tsa_root, request.require_timestamp)
    log.note("timestamp", lambda: stamped(pack / "seal.crt", key))
    document = run[1] if run else None
    base = log.take("base_list", lambda: checks_files.base_list(predicate, pack / BASE_SUMS, document), _listing)
    for role, directory, entries in (("model", request.model, trained), ("base", request.base, base)):
        log.note(role, partial(_files, role, directory, entries, predicate, request))
    log.checks += page()
    return Verification(pack=pack, checks=tuple(log.checks), facts=_facts(content, predicate))


def _refused(log: Log, pack: Path, why: str) -> Verification:
    """What is left where the rest cannot be looked at."""
    made = {check.id for check in log.checks}
    log.skip([name for name in CHECKS if name not in made and name != "others"], f"not looked at: {why}")
    return Verification(pack=pack, checks=tuple(log.checks))


def _opened(log: Log, pack: Path, request: Request) -> tuple[EllipticCurvePublicKey, bytes, Opened] | None:
    """The key, the bundle's bytes and what they hold, if all of it can be trusted."""
    inside = isinstance(request.key, Path) and pack.resolve() in request.key.resolve().parents
    key = log.take("key", lambda: _key(request.key, inside and request.strict), _KEY_INSIDE if inside else _KEY)
    bundle = log.take("pack", lambda: _bundle(pack), lambda _: _others(pack))
    if key is None or bundle is None:
        return None
    opened = log.take("signature", lambda: open_bundle(bundle, key), "the key that you gave signed this certificate")
    return None if opened is None else (key, bundle, opened)


_KEY = "an elliptic-curve key on P-256, brought by you"
_KEY_INSIDE = "a key on P-256, from the pack itself: it shows that the pack agrees with itself, not who signed it"


def _key(given: Path | EllipticCurvePublicKey, refuse: bool) -> EllipticCurvePublicKey:
    from afterburn_core.certify.keys import load_public_key

    if refuse:
        raise Invalid("key.from_pack", "the key lies in the pack that it is to verify; get it from the issuer")
    if isinstance(given, Path):
        return load_public_key(given)
    require_p256(given)
    return given


def _bundle(pack: Path) -> bytes:
    if (pack / BUNDLE_NAME).is_file():
        return read(pack / BUNDLE_NAME, what="the certificate")
    if (pack / DRAFT_NAME).is_file():
        raise Invalid("pack.unsigned_draft", "an UNSIGNED DRAFT: nobody signed it, and nothing vouches for it")
    raise Invalid("pack.missing", f"{BUNDLE_NAME} is missing: this is no evidence pack, or not all of one")


def _others(pack: Path) -> str:
    """What is said of a pack: files that no signature covers are named, lest somebody believes them."""
    strange = sorted(entry.name for entry in pack.iterdir() if entry.name not in KNOWN)
    if not strange:
        return "holds a certificate"
    more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
    return f"holds a certificate, and beside it files that it does not cover: {', '.join(strange[:3])}{more}"


def _present(path: Path) -> bytes:
    if not path.is_file():
        raise Invalid("subject.missing", f"{path.name} is missing from the pack")
    return read(path, what="the checksum manifest")


def _listing(entries: checks_files.Entries) -> str:
    return f"lists {len(entries)} {'file' if len(entries) == 1 else 'files'}, and is the list that was signed"


def _content(
    statement: Mapping[str, Any], key: EllipticCurvePublicKey, trained: checks_files.Entries | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    predicate, notes = checks_content.content(statement, key)
    for fault in () if trained is None else checks_files.describes(predicate["models"]["trained"]["measured"], trained):
        raise fault
    return predicate, notes


def _document(run: tuple[bytes, Any]) -> str:
    if run[1] is None:
        return "the document of the run that is named; not compared with the certificate (too large, or no use)"
    return "the document of the run that is named: of these models, with this plan and these numbers"


def _format(known: tuple[Mapping[str, Any], Sequence[str]]) -> str:
    predicate, notes = known
    return "; ".join((f"version {predicate['schemaVersion']} of the format", *notes))


def _page(
    pack: Path, bundle: bytes, key: EllipticCurvePublicKey, predicate: Mapping[str, Any], request: Request
) -> Callable[[], tuple[Check, ...]]:
    """Begins the check of the PDF, where another process can do it, and gives what waits for it."""
    from afterburn_core.certify.keys import public_pem

    job = Job(
        pack=pack,
        bundle=bundle,
        key=public_pem(key),
        page=predicate["rendering"]["templateSha256"] is not None,
        rerender=request.rerender,
    )
    if request.aside is not None and request.aside.alive:
        return request.aside.ask(job)
    return partial(checks_pdf.pdf, job)


def _rejudged(document: bytes | None, pack: Path, predicate: Mapping[str, Any], request: Request) -> Outcome:
    if not request.rejudge:
        return Skip("not asked for (--rejudge)", asked=False)
    if document is None:
        return Skip("not looked at: the verdicts or the run's document were refused", asked=False)
    from afterburn_core.certify.checks_rejudge import rejudged

    return rejudged(document, pack, predicate)


def _files(
    role: str,
    directory: Path | None,
    entries: checks_files.Entries | None,
    predicate: Mapping[str, Any],
    request: Request,
) -> Outcome:
    if directory is None:
        # whether the model is the audited one is what a certificate is for
        return Skip(f"not compared: give its directory with --{role}", asked=role == "model")
    if entries is None:
        return Skip("not looked at: there is no list to compare it with", asked=False)
    names = ("trained", "base") if role == "model" else ("base", "trained")
    own, other = (predicate["models"][name] for name in names)
    return checks_files.files(
        directory,
        entries,
        own["measured"],
        None if other is None else other["measured"]["manifest"]["sha256"],
        role=role,
        threads=request.threads,
        progress=request.progress,
    )


def _facts(opened: Opened, predicate: Mapping[str, Any]) -> Facts:
    """What is shown of a certificate that was signed and satisfies its schema."""
    issuer, models, summary = predicate["issuer"], predicate["models"], predicate["summary"]
    supersedes = predicate["supersedes"]
    return Facts(
        identity=opened.identity,
        certificate_id=predicate["certificateId"],
        issued_at=predicate["issuedAt"],
        issuer=issuer["legalName"] or None,
        role=issuer["role"] or None,
        model=_name(models["trained"]) or None,
        base=None if models["base"] is None else _name(models["base"]) or None,
        overall=summary["overall"],
        counts=summary["counts"],
        supersedes=None if supersedes is None else supersedes["sha256"],
    )


def _name(model: Mapping[str, Any]) -> str:
    return str(model["declared"]["name"] or model["measured"]["label"])
