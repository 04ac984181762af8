"""Timestamps: `openssl ts` is the authority and the judge, and every faulty one is refused with its own code."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parent / "certificates"))

import pki
import tsa
import vectors_time

from afterburn_core.certify.chain import load_certificates
from afterburn_core.certify.encoding import Invalid, canonical
from afterburn_core.certify.envelope import PREDICATE_TYPE, STATEMENT_TYPE, open_bundle, seal
from afterburn_core.certify.keys import FileSigner
from afterburn_core.certify.timestamp import check, request
from afterburn_core.errors import ConfigError

CASES = {case.name: case for case in vectors_time.cases() if case.make is not None}
SIGNATURE = b"the bytes of a signature"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tsa.OpensslAuthority:
    try:
        return tsa.OpensslAuthority(tmp_path_factory.mktemp("tsa"))
    except FileNotFoundError:
        pytest.skip("openssl is not installed")


def test_a_stamped_bundle_verifies_here_and_with_openssl(authority: tsa.OpensslAuthority, tmp_path: Path) -> None:
    signer = FileSigner(pki.key("seal"))  # type: ignore[arg-type]
    payload = canonical({"_type": STATEMENT_TYPE, "subject": [], "predicateType": PREDICATE_TYPE, "predicate": {}})
    before = pki.now()
    with tsa.served(authority.answer) as url:
        bundle = seal(payload, signer, [lambda signature: request(signature, url)])
    opened = open_bundle(bundle, signer.public_key)
    (response,) = opened.timestamps
    moment = check(opened.signature, response, load_certificates(authority.root), pki.seal().certificate)
    assert before <= moment <= pki.now()
    (tmp_path / "timestamp.tsr").write_bytes(response)
    (tmp_path / "signature.der").write_bytes(opened.signature)
    command = f"openssl ts -verify -in timestamp.tsr -data signature.der -CAfile {authority.root}"
    said = subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "Verification: OK" in said.stdout
    assert len(response) < 4096  # it travels with the bundle


@pytest.mark.parametrize("name", CASES)
def test_each_timestamp_ends_as_its_vector_says(name: str) -> None:
    case = CASES[name]
    assert case.make is not None
    response = case.make(SIGNATURE)
    certificate = case.seal().certificate if case.seal else None
    if case.code is None:
        assert not name.endswith("_fail")
        check(SIGNATURE, response, [tsa.root().certificate], certificate)
        return
    assert name.endswith("_fail")
    with pytest.raises(Invalid) as refused:
        check(SIGNATURE, response, [tsa.root().certificate], certificate)
    assert refused.value.code == case.code
    assert str(refused.value).isprintable() and len(str(refused.value)) < 300


@given(st.integers(0, 1 << 16), st.integers(0, 255), st.sampled_from(["set", "cut", "insert"]))
def test_a_changed_timestamp_says_the_same_time_or_nothing(place: int, byte: int, how: str) -> None:
    """What remains acceptable are bytes that CMS leaves unsigned, such as its version."""
    sound = _sound_response()
    place %= len(sound)
    inserted = {"set": bytes([byte]), "cut": b"", "insert": bytes([byte, sound[place]])}[how]
    response = sound[:place] + inserted + sound[place + 1 :]
    try:
        moment = check(SIGNATURE, response, [tsa.root().certificate])
    except Invalid:
        return
    assert moment == check(SIGNATURE, sound, [tsa.root().certificate])


@cache
def _sound_response() -> bytes:
    return tsa.response(SIGNATURE, tsa.sound_authority())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda query: 503, "Service Unavailable"),
        (lambda query: b"<html>", "no response of RFC 3161"),
        (lambda query: tsa.response(b"another signature", tsa.sound_authority()), "over other data"),
        (lambda query: tsa.response(SIGNATURE, tsa.sound_authority()), "another request than ours"),
        (lambda query: b"0\5" + b"0\3" + b"\2\1\2", "did not grant it"),
    ],
    ids=["unavailable", "web page", "other data", "replay", "rejection"],
)
def test_an_authority_that_does_not_answer_the_question_is_one_line(answer: object, message: str) -> None:
    with tsa.served(answer) as url, pytest.raises(ConfigError) as refused:
        request(SIGNATURE, url)
    assert str(refused.value).startswith(f"timestamp authority {url}: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_only_an_address_of_the_web_is_asked(tmp_path: Path) -> None:
    (tmp_path / "reply").write_bytes(b"")
    for url in (f"file://{tmp_path}/reply", "ftp://127.0.0.1/", "timestamp.example"):
        with pytest.raises(ConfigError, match="must be an address that begins with http"):
            request(SIGNATURE, url)
