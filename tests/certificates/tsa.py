"""Timestamp authorities: a true one that is `openssl ts`, served over HTTP, and one that errs as it is told to."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pki
from asn1crypto import keys, tsp
from asn1crypto import x509 as asn1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from pyhanko.sign.timestamps import DummyTimeStamper
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

SETTINGS = """
[tsa]
default_tsa = authority
[authority]
serial = serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
ordering = no
accuracy = secs:1
"""


@cache
def root() -> pki.Issued:
    """Whom the verifier trusts for the time."""
    return pki.issue("Zeitstelle Root", pki.key("tsa-root"), days=(-3000, 3000), ca=True)


def authority(
    *,
    issuer: pki.Issued | None = None,
    days: tuple[float, float] = (-30, 700),
    purposes: Sequence[ObjectIdentifier] = (ExtendedKeyUsageOID.TIME_STAMPING,),
    critical: bool = True,
    key: str = "rsa2048",
) -> pki.Issued:
    """An authority's certificate, by default without fault."""
    return pki.issue(
        "Zeitstelle",
        pki.key(key),
        issuer or root(),
        days=days,
        uses=("digital_signature",),
        purposes=purposes,
        purposes_critical=critical,
    )


@cache
def sound_authority() -> pki.Issued:
    return authority()


def response(
    data: bytes, signer: pki.Issued, at: datetime.datetime | None = None, embedded: Sequence[pki.Issued] = ()
) -> bytes:
    """A response over `data`, truly signed, whatever the signer's certificate says it may do."""
    query = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build().as_bytes()
    stamper = DummyTimeStamper(
        tsa_cert=_asn1(signer),
        tsa_key=keys.PrivateKeyInfo.load(signer.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())),
        certs_to_embed=[_asn1(one) for one in embedded],  # type: ignore[arg-type]
        fixed_dt=at or pki.now(),
    )
    answer = stamper.request_tsa_response(tsp.TimeStampReq.load(query))
    return bytes(answer.dump())


def _asn1(issued: pki.Issued) -> asn1.Certificate:
    return asn1.Certificate.load(issued.certificate.public_bytes(Encoding.DER))


class OpensslAuthority:
    """`openssl ts`, with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            raise FileNotFoundError("openssl")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        (folder / "openssl.cnf").write_text(SETTINGS)
        (folder / "serial").write_text("01\n")
        self.issued = authority(key="tsa")  # sigstore-js reads timestamps that are signed with ECDSA alone
        (folder / "tsa.crt").write_bytes(self.issued.pem)
        secret = self.issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "tsa.key").write_bytes(secret)
        self.root = folder / "root.crt"
        self.root.write_bytes(root().pem)

    def answer(self, query: bytes) -> bytes:
        (self._folder / "query.tsq").write_bytes(query)
        command = (
            "openssl ts -reply -config openssl.cnf -queryfile query.tsq -inkey tsa.key -signer tsa.crt -out reply.tsr"
        )
        subprocess.run(command.split(), cwd=self._folder, check=True, capture_output=True)
        return (self._folder / "reply.tsr").read_bytes()

    def stamp(self, data: bytes) -> bytes:
        """A response over `data`, without going through HTTP."""
        query = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
        return self.answer(query.as_bytes())


@contextmanager
def served(answer: object) -> Iterator[str]:
    """An address on this machine that gives `answer(query)` to what is posted; where that is a number, the status."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            said = answer(query) if self.headers["Content-Type"] == "application/timestamp-query" else 415  # type: ignore[operator]
            body = said if isinstance(said, bytes) else b""
            self.send_response(200 if isinstance(said, bytes) else said)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Nothing on the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/tsr"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
