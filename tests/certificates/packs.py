"""Genuine packs for the vectors to start from: small models, a real run's document, and one key, each made once.

The document is a golden one, measured on two real models; its subjects are replaced by models of a few hundred bytes,
so that every vector that needs a model of its own can have one.
"""

from __future__ import annotations

import atexit
import copy
import hashlib
import json
import shutil
import struct
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pki
from cryptography.hazmat.primitives.asymmetric import ec
from vector import Presented

from afterburn_core.certify import declaration, limits, predicate, statement
from afterburn_core.certify.chain import Chain, local_chain
from afterburn_core.certify.coverage import coverage
from afterburn_core.certify.derived import of_files
from afterburn_core.certify.encoding import canonical
from afterburn_core.certify.envelope import BUNDLE_NAME, seal
from afterburn_core.certify.keys import FileSigner, fingerprint, public_pem
from afterburn_core.certify.manifest import scan_files, to_sums
from afterburn_core.certify.paths import listed
from afterburn_core.certify.predicate_models import ModelFiles
from afterburn_core.certify.tensors import read_tensors
from afterburn_core.judge.policy_model import Policy, Threshold
from afterburn_core.judge.settle import settle
from afterburn_core.resources import golden_documents
from afterburn_core.result import codec
from afterburn_core.result.model import FileDigest, Input, Result
from afterburn_core.result.view import ResultView
from afterburn_core.run.digests import combined_digest

Files = Mapping[str, bytes]
"""A directory's files by relative path."""
Change = Callable[[dict[str, Any]], Any]
"""Changes a statement, or a predicate, in place."""

ISSUED = "2026-11-22T02:00:00Z"
CERTIFICATE_ID = "0199b1f4-5c7e-7abc-8def-0123456789ab"


def safetensors(tensors: Mapping[str, bytes], *, metadata: Mapping[str, str] | None = None, gap: int = 0) -> bytes:
    """A file of vectors of float32; `gap` bytes after each belong to none (negative: they overlap)."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, data in tensors.items():
        header[name] = {"dtype": "F32", "shape": [len(data) // 4], "data_offsets": [at, at + len(data)]}
        at += len(data) + gap
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(data + bytes(max(gap, 0)) for data in tensors.values())
    return struct.pack("<Q", len(text)) + text + body[: max(at, 0)]


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


TENSORS = {
    "trained": {"embed.weight": floats(1, 2, 3, 4), "mlp.weight": floats(5, 6, 7.5, 8), "norm.weight": floats(1, 1)},
    "base": {"embed.weight": floats(1, 2, 3, 4), "mlp.weight": floats(5, 6, 7, 8), "norm.weight": floats(1, 1)},
}
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def model_files(role: str) -> dict[str, bytes]:
    """A model of two shards, by its role."""
    tensors = TENSORS[role]
    shards = {FIRST: ("embed.weight",), SECOND: ("mlp.weight", "norm.weight")}
    return {
        "README.md": f"# A small model, {role}\n".encode(),
        "config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}\n',
        "tokenizer/vocab.json": b'{"a": 0, "b": 1}\n',
        **{name: safetensors({key: tensors[key] for key in keys}) for name, keys in shards.items()},
    }


def write(folder: Path, files: Files) -> Path:
    """The files, in a new folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@cache
def _models() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="afterburn-vectors-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for role in TENSORS:
        write(folder / role, model_files(role))
    return folder


def key() -> ec.EllipticCurvePrivateKey:
    """The key of all genuine packs."""
    return pki.key("seal")  # type: ignore[return-value]


@cache
def _audited(name: str = "1.0-finetune.json") -> predicate.Audited:
    golden = next(path for path in golden_documents() if path.name == name)
    result = codec.read(golden)
    found = {}
    for role in TENSORS:
        files = listed(_models() / role)
        manifest = scan_files(files, threads=1)
        found[role] = ModelFiles(
            manifest=manifest, source="files", tensors=read_tensors(files, threads=1), directory=_models() / role
        )
    policy = Policy(
        name="vectors",
        optional=("weight.heads.used_rank at_most",),
        thresholds=(
            Threshold(metric="weight.delta.relative", at_most=0.01),
            Threshold(metric="weight.coverage", at_least=1.0),
            Threshold(metric="weight.heads.used_rank", at_most=1.0),
        ),
    )
    settled = settle(_about(result, policy, {role: files.manifest.entries for role, files in found.items()}), policy)
    return predicate.Audited(
        view=ResultView(settled),
        document=codec.dumps(settled).encode(),
        policy=policy,
        trained=found["trained"],
        base=found["base"],
    )


def _about(result: Result, policy: Policy, files: Mapping[str, tuple[FileDigest, ...]]) -> Result:
    """The document as if these had been the models' files, and the run had been started under this policy."""
    subjects = tuple(
        attrs.evolve(subject, files=files[subject.id], digest=combined_digest(files[subject.id]))
        for subject in result.subjects
        if subject.id in files
    )
    reference = policy.reference()
    inputs = [entry for entry in result.inputs if entry.kind != "policy"]
    inputs.append(Input(id="policy", kind="policy", label=reference.name, sha256=reference.sha256))
    return attrs.evolve(result, subjects=subjects, inputs=tuple(inputs))


@cache
def _predicate(page: bool) -> dict[str, Any]:
    rendering = None
    if page:
        from afterburn_core.certify.render import rendering as recorded

        rendering = recorded()
    issue = predicate.Issue(
        certificate_id=CERTIFICATE_ID,
        issued_at=ISSUED,
        key_fingerprint=fingerprint(key().public_key()),
        trust="local",
        rendering=rendering,
    )
    return predicate.predicate_of(_audited(), declaration.load(None), issue)


def sound_statement(*, page: bool = False) -> dict[str, Any]:
    """The statement of the genuine pack, to be changed."""
    return statement.statement(copy.deepcopy(_predicate(page)), to_sums(_audited().trained.manifest))


def files_of(found: Mapping[str, Any], *, payload: bytes | None = None, **other: bytes) -> dict[str, bytes]:
    """A pack around a statement, truly signed; `other` files are added under their names."""
    audited = _audited()
    signed = payload if payload is not None else canonical(found)
    return {
        BUNDLE_NAME: seal(signed, FileSigner(key())),
        statement.TRAINED_SUMS: to_sums(audited.trained.manifest),
        statement.BASE_SUMS: to_sums(audited.base.manifest),  # type: ignore[union-attr]
        "result.json": audited.document,
        "seal.pub": public_pem(key().public_key()),
        **other,
    }


@cache
def genuine() -> Files:
    """A pack without a page, of which everything holds."""
    return files_of(sound_statement())


def resealed(change: Change) -> dict[str, bytes]:
    """The genuine pack with another predicate, truly signed: what a dishonest issuer can do."""
    found = sound_statement()
    change(found["predicate"])
    return files_of(found)


def restated(change: Change) -> dict[str, bytes]:
    """As `resealed`, for the statement around the predicate."""
    found = sound_statement()
    change(found)
    return files_of(found)


def with_sums(sums: bytes, size: int = 0) -> dict[str, bytes]:
    """A pack that was truly signed over another list of files, `size` bytes in all, and says nothing against it."""
    audited, digest = _audited(), hashlib.sha256(sums).hexdigest()
    lines = [line.partition("  ") for line in sums.decode("utf-8", "replace").splitlines()]
    listed = {path: value for value, _, path in lines}
    document = json.loads(audited.document)
    for subject in document["subjects"]:
        if subject["role"] == "trained":
            subject["files"] = [{"path": path, "sha256": value, "size": 1} for path, value in listed.items()]
    run = json.dumps(document).encode()

    def change(found: dict[str, Any]) -> None:
        measured = found["predicate"]["models"]["trained"]["measured"]
        found["subject"][0]["digest"]["sha256"] = digest
        measured["manifest"] |= {"sha256": digest, "files": len(listed), "bytes": size}
        measured |= {**of_files(listed), "notReadByRun": [], "headers": []}
        found["predicate"]["evidence"]["result"] |= {"sha256": hashlib.sha256(run).hexdigest(), "bytes": len(run)}
        reworded(found["predicate"])

    return {**restated(change), statement.TRAINED_SUMS: sums, "result.json": run}


def reworded(predicate: dict[str, Any]) -> None:
    """The sentences and the table as they follow from the rest of a predicate that was changed."""
    declared = [entry for entry in predicate["limitations"] if entry["origin"] == "declared"]
    predicate["limitations"] = [*limits.limitations(predicate), *declared]
    predicate["notTested"] = limits.not_tested(predicate)
    predicate["threatsToValidity"] = limits.threats(predicate)
    predicate["coverage"] = coverage(predicate)


def presented(folder: Path, files: Files | None = None, **more: Any) -> Presented:
    """A pack and the true key, in a vector's folder."""
    write(folder / "pack", genuine() if files is None else files)
    (folder / "key.pub").write_bytes(public_pem(key().public_key()))
    return Presented(packs=(folder / "pack",), key=folder / "key.pub", **more)


@cache
def with_page() -> Files:
    """The genuine pack with its page, sealed under a chain of its own."""
    return paged(sound_statement(page=True))


def paged(found: Mapping[str, Any]) -> dict[str, bytes]:
    """A pack around a statement, with the page that belongs to it. Setting one takes most of a second."""
    from afterburn_core.certify.pdf_sign import sign_pdf
    from afterburn_core.certify.render import render

    files = files_of(found)
    chain = seal_chain()
    sealed = sign_pdf(render(files[BUNDLE_NAME]), FileSigner(key()), chain)
    return {**files, "certificate.pdf": sealed, "seal.crt": chain.certificate_pem, "chain.pem": chain.issuers_pem}


@cache
def seal_chain() -> Chain:
    """Certificates of the key, as `afterburn keygen` makes them."""
    return local_chain(key().public_key(), "Prüfhaus GmbH", pki.now())
