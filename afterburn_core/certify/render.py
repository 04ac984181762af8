"""From a certificate to its pages: the unsigned PDF/A-3, made of the bundle alone.

The same bundle gives the same bytes with the same releases of WeasyPrint, its libraries and our templates, whatever
the time, the process or the machine's fonts. All that a certificate says passes through one gate on its way into the
page (`_shown`): control characters and direction overrides made visible, characters that our fonts lack spelt out,
length bounded, markup escaped.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from afterburn_core.certify.encoding import Invalid, b64_decode, parse
from afterburn_core.certify.envelope import BUNDLE_NAME, DRAFT_NAME, open_payload
from afterburn_core.certify.page import Page, page
from afterburn_core.certify.page_fields import exact
from afterburn_core.certify.wording import COVERAGE_NOTICE, DRAFT_DESCRIPTION, DRAFT_NOTICE, NOTICE
from afterburn_core.report.typesetting import EmbeddedFile, printable, typeset, versions
from afterburn_core.resources import template_dir

LONGEST = 1200
"""Characters of one text that are printed."""
_TEMPLATE, _STYLES = "certificate.html.j2", "certificate.css"


def render(bundle: bytes) -> bytes:
    """The unsigned PDF of a certificate, signed or draft, with the bundle's exact bytes inside.

    Raises:
        Invalid: the bundle is not one that can be read.
        ConfigError: the extra `pdf` or one of its libraries is missing.
        AfterburnError: the page could not be made.
    """
    payload, draft, timestamps = _opened(bundle)
    return pages(payload, bundle, draft=draft, timestamps=timestamps)


def pages(payload: bytes, bundle: bytes, *, draft: bool = False, timestamps: int = 0) -> bytes:
    """The pages of one payload with a file embedded in them; `render` takes both from the same bundle."""
    statement = open_payload(payload)
    try:
        content = page(statement, payload, draft=draft, timestamps=timestamps)
        issued = _moment(content.issued)
        html = _html(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid("predicate.unprintable", f"the certificate lacks what its pages need: {error!r}") from error
    name = DRAFT_NAME if draft else BUNDLE_NAME
    file = EmbeddedFile(name=name, content=bundle, description="The certificate itself", relationship="Source")
    return typeset(
        html,
        (template_dir("certificate") / _STYLES).read_text(encoding="utf-8"),
        identifier=hashlib.sha256(bundle).digest()[:16],
        when=issued,
        embedded=(file,),
    )


def rendering() -> dict[str, Any]:
    """What the predicate records of how its pages are made: digest of templates and fonts, releases of libraries.

    Raises:
        ConfigError: the extra `pdf` or one of its libraries is missing.
    """
    renderers = [{"name": name, "version": version} for name, version in versions().items()]
    return {"templateSha256": template_digest(), "renderers": renderers}


def template_digest() -> str:
    """SHA-256 over the sorted `sha256  path` lines of the certificate's templates and fonts."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {folder}/{file.name}\n"
        for folder in ("certificate", "fonts")
        for file in template_dir(folder).iterdir()
        if file.suffix in {".j2", ".css", ".ttf"}
    ]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def rendering_differences(bundle: bytes) -> tuple[str, ...]:
    """What is of another release here than where the certificate's pages were made; empty where all is the same.

    Raises:
        Invalid: the bundle is not one that can be read.
        ConfigError: the extra `pdf` or one of its libraries is missing.
    """
    payload, _, _ = _opened(bundle)
    recorded = open_payload(payload)["predicate"].get("rendering")
    if not isinstance(recorded, Mapping):
        return ("the certificate does not say with what its pages were made",)
    here = rendering()
    found = [] if recorded.get("templateSha256") == here["templateSha256"] else ["templates"]
    made = {entry["name"]: entry["version"] for entry in recorded.get("renderers", ())}
    found += [
        f"{one['name']} {printable(str(made.get(one['name'])))[:40]}, here {one['version']}"
        for one in here["renderers"]
        if made.get(one["name"]) != one["version"]
    ]
    return tuple(found)


def _opened(bundle: bytes) -> tuple[bytes, bool, int]:
    """Payload, whether it is a draft, and how many timestamps there are. The signature is not looked at."""
    document = parse(bundle, what="the certificate", scope="envelope")
    if isinstance(document, dict) and "_type" in document:
        return bundle, True, 0
    try:
        payload = b64_decode(document["dsseEnvelope"]["payload"])
        stamped = document["verificationMaterial"].get("timestampVerificationData", {})
        return payload, False, len(stamped.get("rfc3161Timestamps", ()))
    except (KeyError, TypeError, AttributeError) as error:
        raise Invalid("envelope.type", "the certificate is no bundle with a payload") from error


def _moment(text: str) -> datetime:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text):
        raise ValueError(f"issuedAt is no UTC time: {text[:40]!r}")
    return datetime.fromisoformat(text).astimezone(UTC)


def _html(content: Page) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(template_dir("certificate")),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_TEMPLATE).render(
        page=content,
        notice=NOTICE,
        draft_notice=DRAFT_NOTICE,
        draft_description=DRAFT_DESCRIPTION,
        coverage_notice=COVERAGE_NOTICE,
    )


def _shown(value: Any) -> Any:
    """What an expression of the template puts on the page."""
    if hasattr(value, "__html__"):  # made by the template itself, by a macro
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return exact(value)
    text = str(value)
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… ({len(text)} characters; the embedded file has them all)"
    return printable(text)
