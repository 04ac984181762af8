"""List D, as far as it is about time: timestamps with one fault each, and the code each is refused with.

A case makes a response over a signature. It is checked against `tsa.root()`, and against the period of validity of the
seal's certificate where the case has one.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
import packs
import pki
import tsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from vector import Presented, Vector

from afterburn_core.certify.encoding import canonical
from afterburn_core.certify.envelope import BUNDLE_NAME, seal
from afterburn_core.certify.keys import FileSigner, public_pem


@attrs.frozen(kw_only=True)
class Case:
    """One timestamp."""

    id: str
    name: str
    code: str | None
    """`None`: accepted."""
    make: Callable[[bytes], bytes] | None
    """From the signature to the response; `None` where there is no timestamp at all."""
    seal: Callable[[], pki.Issued] | None = None
    """The certificate of the key that made the signature, if it matters; the key is `pki.key("seal")`."""
    required: bool = False
    """Whether the verifier asks for a timestamp."""


def _ago(days: float) -> datetime.datetime:
    return pki.now() - datetime.timedelta(days=days)


def _by(**differently: object) -> Callable[[bytes], bytes]:
    """A response now, by an authority whose certificate differs from a sound one's."""
    return lambda signature: tsa.response(signature, tsa.authority(**differently))  # type: ignore[arg-type]


def _sound(signature: bytes) -> bytes:
    return tsa.response(signature, tsa.sound_authority())


def _untrusted(signature: bytes) -> bytes:
    """By an authority of its own, which puts its own root into the response."""
    stranger = pki.issue("Zeitstelle Root", pki.key("attacker"), days=(-3000, 3000), ca=True)
    return tsa.response(signature, tsa.authority(issuer=stranger), embedded=[stranger])


def _another_signer(signature: bytes) -> bytes:
    """By a certificate for servers, with that of the true authority beside it."""
    server = tsa.authority(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,))
    return tsa.response(signature, server, embedded=[tsa.sound_authority()])


def _refused(signature: bytes) -> bytes:
    """PKIStatusInfo `rejection`, and no token (RFC 3161, 2.4.2)."""
    return b"0\5" + b"0\3" + b"\2\1\2"


def _with_other_signature(signature: bytes) -> bytes:
    sound = _sound(signature)
    return sound[:-1] + bytes([sound[-1] ^ 1])


_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING

# id, name, code, the response
_HOSTILE: tuple[tuple[str, str, str, Callable[[bytes], bytes]], ...] = (
    ("D12", "purpose_is_servers", "timestamp.usage", _by(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,))),
    ("D12", "purpose_not_critical", "timestamp.usage", _by(critical=False)),
    ("D12", "purposes_are_two", "timestamp.usage", _by(purposes=(_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING))),
    ("D12", "no_purpose", "timestamp.usage", _by(purposes=())),
    ("D12", "true_authority_only_beside_the_signer", "timestamp.usage", _another_signer),
    ("D14", "over_other_data", "timestamp.other_data", lambda signature: _sound(b"other " + signature)),
    ("D14", "not_granted", "timestamp.not_granted", _refused),
    ("D14", "no_response", "timestamp.unreadable", lambda signature: signature),
    ("D14", "trailing_bytes", "timestamp.unreadable", lambda signature: _sound(signature) + b"\0"),
    ("D16", "untrusted_authority", "timestamp.untrusted", _untrusted),
    ("D16", "signature_of_the_timestamp_changed", "timestamp.untrusted", _with_other_signature),
    (
        "D17",
        "after_the_authority_expired",
        "timestamp.validity",
        lambda signature: tsa.response(signature, tsa.authority(days=(-300, -10)), _ago(9)),
    ),
    (
        "D17",
        "before_the_authority_was_valid",
        "timestamp.validity",
        lambda signature: tsa.response(signature, tsa.sound_authority(), _ago(31)),
    ),
)


def cases() -> tuple[Case, ...]:
    """Every case, hostile ones first."""
    made = [
        Case(id=identifier, name=f"{identifier.lower()}_{name}_fail", code=code, make=make)
        for identifier, name, code, make in _HOSTILE
    ]

    def expired_seal() -> pki.Issued:
        return pki.issue("Prüfhaus Siegel", pki.key("seal"), pki.root(), days=(-400, -1))

    made += [
        Case(
            id="D13",
            name="d13_after_the_seal_expired_fail",
            code="timestamp.seal_validity",
            make=_sound,
            seal=expired_seal,
        ),
        Case(id="D15", name="d15_backdated_without_timestamp_fail", code="timestamp.missing", make=None, required=True),
        Case(id="D15", name="d15_time_claimed_by_the_issuer", code=None, make=None),
        Case(id="D12", name="d12_sound_timestamp", code=None, make=_sound, required=True),
        Case(
            id="D13",
            name="d13_before_the_seal_expired",
            code=None,
            make=lambda signature: tsa.response(signature, tsa.sound_authority(), _ago(5)),
            seal=expired_seal,
        ),
        Case(
            id="D17",
            name="d17_authority_expired_since",
            code=None,
            make=lambda signature: tsa.response(signature, tsa.authority(days=(-300, -10)), _ago(20)),
        ),
    ]
    return tuple(made)


def vectors() -> tuple[Vector, ...]:
    """Every case as the timestamp of a genuine pack."""
    return tuple(Vector(id=case.id, name=case.name, code=case.code, build=partial(_in_pack, case)) for case in cases())


def _in_pack(case: Case, folder: Path) -> Presented:
    stamps = [case.make] if case.make else []
    files = {**packs.genuine(), BUNDLE_NAME: seal(canonical(packs.sound_statement()), FileSigner(packs.key()), stamps)}
    if case.seal is not None:
        files["seal.crt"] = case.seal().pem
    packs.write(folder / "pack", files)
    (folder / "key.pub").write_bytes(public_pem(packs.key().public_key()))
    (folder / "tsa-root.crt").write_bytes(tsa.root().pem)
    return Presented(
        packs=(folder / "pack",),
        key=folder / "key.pub",
        tsa_root=folder / "tsa-root.crt",
        require_timestamp=case.required,
    )
