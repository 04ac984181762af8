"""The envelope refuses every hostile form with its own code, and other makers' tools read what it writes."""

from __future__ import annotations

import struct
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parent / "certificates"))

import pki
import vectors_envelope as envelopes

from afterburn_core.certify.encoding import LIMIT, Invalid, b64_decode, b64_encode, canonical, parse, read
from afterburn_core.certify.envelope import (
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Opened,
    draft,
    open_bundle,
    open_payload,
    pae,
    seal,
)
from afterburn_core.certify.keys import FileSigner, load_public_key
from afterburn_core.errors import ConfigError

STATEMENT = {
    "_type": STATEMENT_TYPE,
    "subject": [{"name": "trained.SHA256SUMS", "digest": {"sha256": "0" * 64}}],
    "predicateType": PREDICATE_TYPE,
    # in base64 the marks become + and / wherever they stand
    "predicate": {"name": "Größe 𝟙 ?????? >>>>>> \u2028", "count": 7, "estimate": 0.1, "tiny": 1e-7, "none": None},
}
CASES = {case.name: case for case in envelopes.cases()}


@cache
def ingredients() -> envelopes.Ingredients:
    return envelopes.Ingredients(statement=STATEMENT, key=pki.key("seal"))  # type: ignore[arg-type]


def opened(data: bytes, key: bytes, folder: Path) -> Opened:
    (folder / "seal.pub").write_bytes(key)
    found = open_bundle(data, load_public_key(folder / "seal.pub"))
    open_payload(found.payload)
    return found


@pytest.mark.parametrize("name", CASES)
def test_each_envelope_ends_as_its_vector_says(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    data, key = case.make(ingredients()), case.public_key(ingredients())
    if case.code is None:
        assert not name.endswith("_fail")
        assert opened(data, key, tmp_path).payload == canonical(STATEMENT)
        return
    assert name.endswith("_fail")
    with pytest.raises(Invalid) as refused:
        opened(data, key, tmp_path)
    assert refused.value.code == case.code
    message = str(refused.value)
    assert message.isprintable() and len(message) < 300


def test_a_file_is_never_read_beyond_the_limit(tmp_path: Path) -> None:
    """A file of 4 GiB that takes no room: reading it all would take the machine's memory."""
    path = tmp_path / "certificate.sigstore.json"
    with open(path, "wb") as stream:
        stream.truncate(4 << 30)
    with pytest.raises(Invalid) as refused:
        read(path, what="a bundle")
    assert refused.value.code == "file.too_large"
    assert str(LIMIT) in str(refused.value)


def test_what_is_sealed_opens_and_sealing_again_gives_the_same_bytes() -> None:
    signer = FileSigner(ingredients().key)
    bundle = seal(canonical(STATEMENT), signer)
    assert bundle == seal(canonical(STATEMENT), signer) == canonical(ingredients().bundle())
    found = open_bundle(bundle, signer.public_key)
    assert open_payload(found.payload) == STATEMENT
    assert found.timestamps == ()


def test_a_stamp_is_given_the_signature_and_comes_back_with_it() -> None:
    signer = FileSigner(ingredients().key)
    bundle = seal(canonical(STATEMENT), signer, [lambda signature: b"stamp of " + signature])
    found = open_bundle(bundle, signer.public_key)
    assert found.timestamps == (b"stamp of " + found.signature,)


def test_pae_is_that_of_the_dsse_specification() -> None:
    """The example of DSSE's protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("ü", b"") == b"DSSEv1 2 \xc3\xbc 0 "


def test_bytes_that_our_own_verifier_would_refuse_are_not_sealed() -> None:
    for payload in (b'{"a": 1}', b'{"a":NaN}', b'{"a":1,"a":1}', b'{"a":9007199254740993}'):
        for make in (draft, lambda data: seal(data, FileSigner(ingredients().key))):
            with pytest.raises(ConfigError, match="cannot sign"):
                make(payload)


# RFC 8785, appendix B: the double's bits and its one spelling; and section 3.2.3: the order of keys by UTF-16 units.
NUMBERS = {
    0x0000000000000000: "0",
    0x8000000000000000: "0",
    0x0000000000000001: "5e-324",
    0x7FEFFFFFFFFFFFFF: "1.7976931348623157e+308",
    0x44B52D02C7E14AF5: "9.999999999999997e+22",
    0x44B52D02C7E14AF6: "1e+23",
    0x444B1AE4D6E2EF4E: "999999999999999700000",
    0x444B1AE4D6E2EF50: "1e+21",
    0x3EB0C6F7A0B5ED8D: "0.000001",
    0x3EB0C6F7A0B5ED8C: "9.999999999999997e-7",
    0x41B3DE4355555553: "333333333.3333332",
    0x41B3DE4355555554: "333333333.33333325",
    0xBECBF647612F3696: "-0.0000033333333333333333",
}


def test_canonical_json_spells_numbers_and_orders_keys_as_rfc_8785_says() -> None:
    for bits, text in NUMBERS.items():
        (value,) = struct.unpack(">d", struct.pack(">Q", bits))
        assert canonical(value) == text.encode()
    keys = ["€", "\r", "\ufb33", "1", "😀", "\x80", "ö"]
    ordered = ["\r", "1", "\x80", "ö", "€", "😀", "\ufb33"]
    assert list(parse(canonical(dict.fromkeys(keys, 0)), what="keys")) == ordered


@pytest.mark.parametrize(
    "value", [float("nan"), 2**53, "\ud800", {"\udfff": 1}, {1: 2}, pytest.param(object(), id="an object")], ids=repr
)
def test_canonical_json_refuses_what_it_cannot_hold_in_one_line(value: Any) -> None:
    with pytest.raises(ConfigError, match="^no canonical JSON: ") as refused:
        canonical(value)
    assert "\n" not in str(refused.value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: abs(number) < 2**53 or abs(number) >= 1e21)
    | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(JSON)
def test_what_is_written_reads_back_as_what_it_was(value: Any) -> None:
    data = canonical(value)
    again = parse(data, what="it")
    assert again == value
    assert canonical(again) == data


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0123456789.eE+-\\utrfalsn \ud800', max_size=40))
def test_reading_anything_gives_a_value_or_a_refusal(data: bytes | str) -> None:
    data = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    try:
        value = parse(data, what="it")
    except Invalid:
        return
    canonical_of = canonical(value) if not _has_large_float(value) else b""
    assert parse(canonical_of or data, what="it") == value


def _has_large_float(value: Any) -> bool:
    """Those that JCS writes as integers beyond 2^53, which are read as text only."""
    if isinstance(value, dict):
        return any(map(_has_large_float, value.values()))
    if isinstance(value, list):
        return any(map(_has_large_float, value))
    return isinstance(value, float) and 2**53 <= abs(value) < 1e21


@given(st.binary(max_size=40), st.integers(0, 60), st.characters(max_codepoint=127))
def test_base64_has_one_text_for_each_value(data: bytes, place: int, letter: str) -> None:
    text = b64_encode(data)
    assert b64_decode(text) == data
    other = text[: place % (len(text) + 1)] + letter + text[place % (len(text) + 1) + 1 :]
    try:
        decoded = b64_decode(other)
    except Invalid:
        return
    assert (decoded == data) == (other == text)


def test_another_implementation_of_dsse_accepts_and_refuses_the_same(tmp_path: Path) -> None:
    """securesystemslib reads the envelope alone, so its verdict is on the signature and what it covers."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    key = SSlibKey.from_crypto(ingredients().key.public_key())
    verdicts = {}
    for name in (
        "a00_sound",
        "a14_malleable_signature",
        "a01_payload_edited_fail",
        "a02_payload_type_changed_fail",
        "a03_signed_under_another_type_fail",
        "a04_signed_without_pae_fail",
        "a07_attacker_key_fail",
        "a10_zero_signature_fail",
    ):
        document = parse(CASES[name].make(ingredients()), what=name)["dsseEnvelope"]
        document["signatures"][0]["keyid"] = key.keyid  # it picks keys by label, which ours never does
        try:
            Envelope.from_dict(document).verify([key], 1)
            verdicts[name] = True
        except VerificationError:
            verdicts[name] = False
    assert verdicts == {name: not name.endswith("_fail") for name in verdicts}
