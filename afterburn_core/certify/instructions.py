"""`VERIFY.txt`: how to check a certificate with other people's tools alone.

Every command stands on lines of its own, indented by four spaces; a test takes them out of the text and runs them.
"""

from __future__ import annotations

import textwrap

import attrs

from afterburn_core.certify.envelope import BUNDLE_NAME, DRAFT_NAME, PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE

FILE_NAME = "VERIFY.txt"
_WIDTH = 78
_INDENT = "    "


@attrs.frozen(kw_only=True)
class Pack:
    """What a pack holds beside the statement and the list of the trained model's files."""

    signed: bool = True
    base: bool = True
    """`base.SHA256SUMS`."""
    result: bool = True
    """`result.json`."""
    pdf: bool = True
    certificate: bool = True
    """`seal.crt` and `chain.pem`."""
    timestamps: int = 0
    oms: bool = False
    """`trained.oms.sig`."""
    fingerprint: str | None = None
    """Of the key, as `keys.fingerprint` writes it."""


@attrs.frozen(kw_only=True)
class Step:
    """One thing to check: what it shows, and the commands."""

    title: str
    text: str
    commands: str


def instructions(pack: Pack) -> str:
    """The text of `VERIFY.txt` for a pack with these files."""
    title = "How to check this certificate without Afterburn"
    parts = [title, "=" * len(title), "", _paragraph(_opening(pack)), ""]
    parts += [_code(_SETTING_SIGNED if pack.signed else _SETTING_DRAFT), ""]
    for number, step in enumerate(steps(pack), 1):
        parts += [f"{number}. {step.title}", "", _paragraph(step.text), "", _code(step.commands), ""]
    parts += [_paragraph(_CLOSING), ""]
    return "\n".join(parts)


def commands(text: str) -> dict[str, str]:
    """The commands in a text, by the titles above them; those before the first step are under the empty title."""
    found: dict[str, list[str]] = {"": []}
    title = ""
    for line in text.splitlines():
        if line.startswith(_INDENT):
            found[title].append(line.removeprefix(_INDENT))
        elif line[:1].isdigit():
            title = line.partition(". ")[2]
            found[title] = []
    return {name: "\n".join(lines) + "\n" for name, lines in found.items()}


def steps(pack: Pack) -> list[Step]:
    """What can be checked, in order."""
    chosen = [_SIGNATURE] if pack.signed else [_DRAFT]
    chosen.append(_STATEMENT)
    if pack.timestamps:
        chosen.append(_TIMESTAMP)
    chosen.append(_MODEL)
    if pack.base:
        chosen.append(_BASE)
    if pack.result:
        chosen.append(_RESULT)
    chosen.append(_READING)
    if pack.pdf:
        chosen.append(_embedded(BUNDLE_NAME if pack.signed else DRAFT_NAME))
    if pack.pdf and pack.signed and pack.certificate:
        chosen.append(_SEAL)
    if pack.signed:
        chosen.append(_COSIGN)
    if pack.oms:
        chosen.append(_OMS)
    return chosen


def _opening(pack: Pack) -> str:
    text = (
        "The commands below use sha256sum, find, xargs and cmp (GNU), openssl and jq. Run them with bash in this "
        "directory, after `set -euo pipefail`, so that the first one that fails stops all. "
    )
    if not pack.signed:
        return text + "This is an UNSIGNED DRAFT: nothing shows who wrote it or that it was not changed."
    text += (
        "KEY is the issuer's public key. Get it from the issuer by another way than this directory: whoever changes "
        "the certificate can change the key beside it. "
    )
    if pack.fingerprint:
        text += f"Or compare its fingerprint with the issuer by another way: {pack.fingerprint}. "
    return (
        text
        + "MODEL is the directory of the model you have"
        + (", BASE that of the base model; leave out the steps for which you have none." if pack.base else ".")
    )


_SETTING_SIGNED = """
: "${KEY:?path of the public key, from the issuer}"
work="$(mktemp -d)"
openssl pkey -pubin -in "$KEY" -outform DER | sha256sum
"""
_SETTING_DRAFT = 'work="$(mktemp -d)"'

_SIGNATURE = Step(
    title="The statement is signed with that key",
    text=(
        "DSSE signs the payload together with its type and both lengths. The last command prints `Verified OK`. "
        "Nothing that the payload says may be believed before."
    ),
    commands=f"""
jq -r .dsseEnvelope.payload {BUNDLE_NAME} | base64 -d > "$work/payload.json"
jq -r '.dsseEnvelope.signatures[0].sig' {BUNDLE_NAME} | base64 -d > "$work/signature.der"
{{ printf 'DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} %d ' "$(wc -c < "$work/payload.json")"
  cat "$work/payload.json"; }} > "$work/pae.bin"
openssl dgst -sha256 -verify "$KEY" -signature "$work/signature.der" "$work/pae.bin"
""",
)
_DRAFT = Step(
    title="The statement, which nobody signed",
    text="What follows says only whether the files fit each other.",
    commands=f'cp {DRAFT_NAME} "$work/payload.json"',
)
_STATEMENT = Step(
    title="It is a statement about this list of files",
    text="One subject and no other: the list of the trained model's files. The first command prints `true`.",
    commands=f"""
jq -e '._type == "{STATEMENT_TYPE}"
  and .predicateType == "{PREDICATE_TYPE}"
  and (.subject | length) == 1 and .subject[0].name == "trained.SHA256SUMS"' "$work/payload.json"
test "$(jq -r '.subject[0].digest.sha256' "$work/payload.json")" = "$(sha256sum < trained.SHA256SUMS | cut -d' ' -f1)"
""",
)
_TIMESTAMP = Step(
    title="A timestamp authority saw the signature",
    text=(
        "TSA_ROOT is the root certificate of the authority, from the authority. The first command prints "
        "`Verification: OK`, the last one shows when."
    ),
    commands=f"""
: "${{TSA_ROOT:?path of the root certificate of the timestamp authority}}"
jq -r '.verificationMaterial.timestampVerificationData.rfc3161Timestamps[0].signedTimestamp' {BUNDLE_NAME} \\
  | base64 -d > "$work/timestamp.tsr"
openssl ts -verify -in "$work/timestamp.tsr" -data "$work/signature.der" -CAfile "$TSA_ROOT"
openssl ts -reply -in "$work/timestamp.tsr" -text | grep 'Time stamp'
""",
)
_MODEL = Step(
    title="The model is the audited one",
    text="The first command names files that are missing or changed; the second finds files that were added as well.",
    commands="""
: "${MODEL:?directory of the model}"
sums="$PWD/trained.SHA256SUMS"
(cd "$MODEL" && sha256sum --quiet --strict -c "$sums")
(cd "$MODEL" && find . ! -type d | cut -c3- | LC_ALL=C sort | xargs -d '\\n' sha256sum --) | cmp - trained.SHA256SUMS
""",
)
_BASE = Step(
    title="The base model is the one it was compared with",
    text="The certificate is not about the base model; it names it by the digest of its list.",
    commands="""
test "$(jq -r '.predicate.models.base.measured.manifest.sha256' "$work/payload.json")" \\
  = "$(sha256sum < base.SHA256SUMS | cut -d' ' -f1)"
: "${BASE:?directory of the base model}"
sums="$PWD/base.SHA256SUMS"
(cd "$BASE" && sha256sum --quiet --strict -c "$sums")
""",
)
_RESULT = Step(
    title="The numbers behind it are these",
    text="result.json holds every measurement of the run; the certificate is judged from it.",
    commands="""
test "$(jq -r '.predicate.evidence.result.sha256' "$work/payload.json")" = "$(sha256sum < result.json | cut -d' ' -f1)"
""",
)
_READING = Step(
    title="What it says",
    text="The verdict, each test, and what the certificate does not say.",
    commands="""
jq -r '.predicate.summary.overall' "$work/payload.json"
jq -r '.predicate.tests[] | [.verdict, .name] | @tsv' "$work/payload.json"
jq -r '.predicate | (.limitations + .notTested)[] | .text' "$work/payload.json"
""",
)
_SEAL = Step(
    title="The PDF is sealed with the same key",
    text=(
        "The certificate in the seal is for the key above. The seal itself is checked by pyHanko (pip install "
        "pyhanko-cli), Adobe Reader or the EU's DSS demonstrator; ROOT is the root of the issuer's certificate, "
        "from the issuer. Do not use pdfsig: it calls several kinds of changed files valid."
    ),
    commands="""
openssl x509 -in seal.crt -pubkey -noout | cmp - <(openssl pkey -pubin -in "$KEY")
if command -v pyhanko > "$work/found"; then
  pyhanko sign validate --pretty-print --trust "${ROOT:?path of the root}" --trust-replace certificate.pdf
fi
""",
)
_COSIGN = Step(
    title="With cosign, if you have it (version 3)",
    text="It checks the signature and the list of files as above, offline.",
    commands=f"""
if command -v cosign > "$work/found"; then
  cosign verify-blob-attestation --key "$KEY" --insecure-ignore-tlog \\
    --type {PREDICATE_TYPE} --bundle {BUNDLE_NAME} trained.SHA256SUMS
fi
""",
)
_OMS = Step(
    title="With OpenSSF Model Signing, if you have it (pip install model-signing)",
    text=(
        "A second signature over the model's files, by the same key. It does not bind what the tests found, and the "
        "command overlooks files whose names begin with .git."
    ),
    commands="""
if command -v model_signing > "$work/found"; then
  model_signing verify key "$MODEL" --signature trained.oms.sig --public_key "$KEY"
fi
""",
)
_CLOSING = (
    "What this shows: who said what about which files. Whether it is true, it does not show. `afterburn verify` checks "
    "the same and more: that the statement has the one allowed form, and that every verdict follows from its numbers."
)


def _embedded(name: str) -> Step:
    return Step(
        title="The PDF holds the same statement",
        text="pdfdetach (poppler-utils) takes out the one embedded file.",
        commands=f"""
if command -v pdfdetach > "$work/found"; then
  pdfdetach -saveall -o "$work" certificate.pdf && cmp "$work/{name}" {name}
fi
""",
    )


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _code(text: str) -> str:
    return "\n".join(_INDENT + line for line in text.strip("\n").splitlines())
