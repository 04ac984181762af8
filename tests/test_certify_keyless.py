"""Keyless Sigstore, as far as it goes without its services: what it would sign, and that it says what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "certificates"))

import packs

from afterburn_core.certify.encoding import Invalid, canonical
from afterburn_core.certify.keyless import sign
from afterburn_core.errors import ConfigError

pytest.importorskip("sigstore.dsse", reason="the extra keyless is not installed")


@pytest.fixture(autouse=True)
def no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine of one's own, also where the tests run in a CI system."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE", "SIGSTORE_IDENTITY_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_sigstore_reads_our_statement_and_finds_its_subject_by_digest() -> None:
    from sigstore.dsse import Statement
    from sigstore.hashes import Hashed
    from sigstore_models.common.v1 import HashAlgorithm

    statement = packs.sound_statement()
    digest = bytes.fromhex(statement["subject"][0]["digest"]["sha256"])
    read = Statement(canonical(statement))
    assert read._matches_digest(Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digest))
    assert not read._matches_digest(Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes(32)))


def test_without_an_identity_nothing_is_asked_of_the_network() -> None:
    with pytest.raises(ConfigError, match="needs an OpenID token, and no CI system offers one here"):
        sign(canonical(packs.sound_statement()))


def test_a_token_that_is_none_is_one_line() -> None:
    with pytest.raises(ConfigError, match="^no keyless signature: IdentityError: ") as refused:
        sign(canonical(packs.sound_statement()), "no.such.token")
    assert "\n" not in str(refused.value)


def test_only_a_certificate_is_signed() -> None:
    with pytest.raises(Invalid):
        sign(canonical({"_type": "https://in-toto.io/Statement/v1"}), "token")
