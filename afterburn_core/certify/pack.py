"""The evidence pack: one directory with the certificate, what it is about and what it takes to check it."""

from __future__ import annotations

import datetime
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.certify import instructions, sources
from afterburn_core.certify.chain import Chain
from afterburn_core.certify.encoding import Invalid, canonical
from afterburn_core.certify.envelope import BUNDLE_NAME, DRAFT_NAME, draft, seal
from afterburn_core.certify.extras import require
from afterburn_core.certify.keys import fingerprint, public_pem
from afterburn_core.certify.manifest import to_sums
from afterburn_core.certify.predicate import Issue, predicate_of
from afterburn_core.certify.predicate_format import read as read_predicate
from afterburn_core.certify.recompute import problems
from afterburn_core.certify.statement import BASE_SUMS, TRAINED_SUMS, statement, test_result
from afterburn_core.errors import ConfigError
from afterburn_core.judge.rejudge import tables_read
from afterburn_core.result.consistency import TABLE_MEDIA_TYPE
from afterburn_core.result.model import Result
from afterburn_core.run.progress import Progress, Silent

if TYPE_CHECKING:
    from afterburn_core.judge.policy import Policy
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.plugin.roles import Signer

PDF_NAME = "certificate.pdf"
PROJECTION_NAME = "test-result.sigstore.json"
KEYLESS_NAME = "certificate.keyless.sigstore.json"
RESULT_NAME = "result.json"


@attrs.frozen(kw_only=True)
class Order:
    """What to certify and how."""

    run: Path
    """A run directory, or its document."""
    out: Path
    """Where the pack goes: a directory that is not there yet, or an empty one."""
    declared: Mapping[str, Any]
    """A declaration, as `declaration.load` gives it."""
    policy: Policy | None = None
    """Judges in place of the run's own."""
    trained: Path | None = None
    base: Path | None = None
    timestamp_url: str | None = None
    pdf: bool = True
    projection: bool = False
    """Whether `test-result.sigstore.json` is written as well."""
    keyless: Callable[[bytes], bytes] | None = None
    """From the statement to a keyless Sigstore bundle over it, which the pack holds too."""
    sidecars: Callable[[Path, Path], None] | None = None
    """Writes an OpenSSF Model Signing bundle: model's directory, file to write."""
    threads: int | None = None
    now: datetime.datetime | None = None


@attrs.frozen(kw_only=True)
class Issued:
    """A pack that was written."""

    directory: Path
    files: tuple[str, ...]
    overall: str
    counts: Mapping[str, int]
    identity: str | None
    """SHA-256 of the signed payload; `None` for a draft."""
    certificate_id: str


def certify(
    order: Order, signer: Signer | None, chain: Chain | None, registry: Registry, progress: Progress | None = None
) -> Issued:
    """Writes a pack; without a signer an unsigned draft of one.

    Args:
        order: what to certify.
        signer: holds the key.
        chain: the certificate of that key, which the PDF's seal needs.
        registry: installed plugins; their detectors judge the run again.
        progress: told how hashing goes on.

    Raises:
        ConfigError: something is missing, cannot be used, or lies where the pack should go.
        Invalid: the model's files are not those that the run read, or change meanwhile; the document contradicts
            itself; nothing is written then.
    """
    _require_room(order.out)
    if order.timestamp_url is not None and signer is None:
        raise ConfigError("a timestamp is over a signature, and without a key there is none; give --key or --signer")
    rendering = _prepared(order, signer, chain)
    progress = progress or Silent()
    now = (order.now or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC)
    stored, document, directory = sources.read_run(order.run)
    result, policy = sources.judged(stored, directory, order.policy, registry, now.date())
    trained, base = _models(order, stored, directory, progress)
    audited = sources.audited(result, policy, document, directory, trained, base, registry)
    issue = Issue(
        certificate_id=uuid7(now),
        issued_at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        key_fingerprint=None if signer is None else fingerprint(signer.public_key),
        trust="none" if signer is None or chain is None else "local" if chain.is_local else "issued",
        rendering=rendering,
    )
    predicate = predicate_of(audited, order.declared, issue, ran=stored)
    _require_consistent(predicate, result)
    sums = to_sums(trained.files.manifest)
    payload = canonical(statement(predicate, sums))
    for source in (trained, base):
        if source is not None:
            source.require_unchanged()
    bundle = draft(payload) if signer is None else seal(payload, signer, _stamps(order.timestamp_url))
    files: dict[str, bytes] = {
        DRAFT_NAME if signer is None else BUNDLE_NAME: bundle,
        TRAINED_SUMS: sums,
        RESULT_NAME: document,
        **_tables(stored, directory, registry),
    }
    if base is not None:
        files[BASE_SUMS] = to_sums(base.files.manifest)
    if order.keyless is not None:
        files[KEYLESS_NAME] = order.keyless(payload)
    if signer is not None:
        files["seal.pub"] = public_pem(signer.public_key)
        if order.projection:
            files[PROJECTION_NAME] = seal(canonical(test_result(predicate, sums)), signer)
    if chain is not None and signer is not None:
        files |= {"seal.crt": chain.certificate_pem, "chain.pem": chain.issuers_pem}
    if order.pdf:
        files[PDF_NAME] = _pages(bundle, signer, chain, order.timestamp_url)
    _write(order, files, issue, (trained, base))
    return Issued(
        directory=order.out,
        files=tuple(sorted(entry.name for entry in order.out.iterdir())),
        overall=predicate["summary"]["overall"],
        counts=predicate["summary"]["counts"],
        identity=None if signer is None else _sha256(payload),
        certificate_id=issue.certificate_id,
    )


def uuid7(now: datetime.datetime) -> str:
    """A UUID of version 7 (RFC 9562, 5.7): milliseconds since 1970 in 48 bits, then random ones."""
    moment = int(now.timestamp() * 1000) & (1 << 48) - 1
    value = moment << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _require_room(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is there already; a pack is never overwritten, name a new directory with --out")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"{out}: its parent directory does not exist; make it or name another with --out")


def _models(
    order: Order, result: Result, directory: Path, progress: Progress
) -> tuple[sources.Source, sources.Source | None]:
    subjects = {subject.role: subject for subject in result.subjects if subject.role in {"trained", "base"}}
    trained, base = sources.locate_models(directory, order.trained, order.base)
    found = sources.hashed(subjects["trained"], trained, threads=order.threads, progress=progress)
    if "base" not in subjects or not subjects["base"].files:
        return found, None
    if base is None:
        return found, sources.recorded(subjects["base"])
    return found, sources.hashed(subjects["base"], base, threads=order.threads, progress=progress)


def _require_consistent(predicate: Mapping[str, Any], result: Result) -> None:
    """What a verifier would refuse is not signed, nor a verdict that the document's own fields do not give."""
    read_predicate(predicate)
    found = problems(predicate)
    if found:
        raise found[0]
    if predicate["summary"]["overall"] != result.verdict.status.upper():
        reason = result.verdict.reasons[0].message if result.verdict.reasons else result.verdict.summary
        raise Invalid(
            "summary.overall",
            f"the verdict is {result.verdict.status}, for a reason that no certificate can show ({reason})",
        )


def _stamps(url: str | None) -> Sequence[Callable[[bytes], bytes]]:
    if url is None:
        return ()
    from afterburn_core.certify.timestamp import request

    return (lambda signature: request(signature, url),)


def _prepared(order: Order, signer: Signer | None, chain: Chain | None) -> Mapping[str, Any] | None:
    """What pages are made with; refuses before gigabytes are hashed what would be refused after."""
    require("sign", "certifying")
    if order.timestamp_url is not None:
        require("timestamp", "a timestamp")
    if order.keyless is not None:
        require("keyless", "a keyless signature")
    if not order.pdf:
        return None
    from afterburn_core.certify.render import rendering

    try:
        made_with = rendering()
        if signer is not None:
            require("pdf", "sealing a PDF")
    except ConfigError as error:
        raise ConfigError(f"{error}; --no-pdf leaves the pages out") from error
    if signer is not None and chain is None:
        raise ConfigError("the PDF's seal needs a certificate of the key; give it with --certificate, or use --no-pdf")
    return made_with


def _pages(bundle: bytes, signer: Signer | None, chain: Chain | None, timestamp_url: str | None) -> bytes:
    from afterburn_core.certify.pdf_sign import sign_pdf
    from afterburn_core.certify.render import render

    pdf = render(bundle)
    if signer is None or chain is None:  # with a signer there is one: `_prepared`
        return pdf
    return sign_pdf(pdf, signer, chain, timestamp_url=timestamp_url)


def _tables(result: Result, directory: Path, registry: Registry) -> dict[str, bytes]:
    """Measurements and numbers kept beside the document, without which it could not be judged again."""
    found = {}
    named = {name for names in tables_read(result, registry).values() for name in names}
    for artifact in result.artifacts:
        if artifact.media_type == TABLE_MEDIA_TYPE or artifact.id in named:
            try:
                found[artifact.path] = (directory / artifact.path).read_bytes()
            except OSError as error:
                raise ConfigError(f"{directory / artifact.path}: cannot be read ({error.strerror})") from error
            if _sha256(found[artifact.path]) != artifact.sha256:
                raise Invalid("result.table", f"{artifact.path}: is not the table that the run's document names")
    return found


def _write(
    order: Order, files: Mapping[str, bytes], issue: Issue, models: tuple[sources.Source, sources.Source | None]
) -> None:
    """The whole directory or nothing: made beside its place, then moved there."""
    out = order.out.absolute()
    made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for name, content in files.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if order.sidecars is not None:
            for source, name in zip(models, ("trained.oms.sig", "base.oms.sig")):
                if source is not None and source.files.directory is not None:
                    order.sidecars(source.files.directory, made / name)
        there = instructions.Pack(
            signed=issue.key_fingerprint is not None,
            base=BASE_SUMS in files,
            pdf=PDF_NAME in files,
            certificate="seal.crt" in files,
            timestamps=1 if order.timestamp_url else 0,
            oms=(made / "trained.oms.sig").is_file(),
            fingerprint=issue.key_fingerprint,
        )
        (made / instructions.FILE_NAME).write_text(instructions.instructions(there), encoding="utf-8")
        made.chmod(0o777 & ~_mask())
        if out.is_dir():
            out.rmdir()
        os.replace(made, out)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror}); name another place with --out") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _mask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
