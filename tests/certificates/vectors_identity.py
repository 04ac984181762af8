"""List C: one certificate, model or document in the place of another. The attacker has no key, but for C04 and C08."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import packs
from packs import SECOND, TENSORS, Change, Files, floats, model_files, presented, safetensors, write
from vector import Presented, Vector

from afterburn_core.certify.encoding import canonical
from afterburn_core.certify.envelope import BUNDLE_NAME, seal
from afterburn_core.certify.keys import FileSigner
from afterburn_core.certify.statement import BASE_SUMS, TRAINED_SUMS, test_result

Build = Callable[[Path], Presented]

_SECOND_TENSORS = {name: TENSORS["trained"][name] for name in ("mlp.weight", "norm.weight")}


def _other_revision() -> dict[str, bytes]:
    """The files of another revision of the trained model."""
    return {**model_files("trained"), SECOND: safetensors({**_SECOND_TENSORS, "mlp.weight": floats(5, 6, 7.75, 8)})}


def _sums_of(files: Files) -> bytes:
    return "".join(f"{_digest(files[name])}  {name}\n" for name in sorted(files, key=str.encode)).encode()


def _replayed(sums: bytes, files: Files | None = None) -> Build:
    """The genuine certificate, beside the list of other files, which are there."""

    def build(folder: Path) -> Presented:
        model = None if files is None else write(folder / "model", files)
        return presented(folder, {**packs.genuine(), TRAINED_SUMS: sums}, model=model)

    return build


def _other_model(role: str, directory: Files) -> Build:
    def build(folder: Path) -> Presented:
        return presented(folder, **{role: write(folder / role, directory)})

    return build


def _two(change: Change, *, again: bool = True) -> Build:
    """The genuine pack with a second certificate beside it."""

    def build(folder: Path) -> Presented:
        first = presented(folder)
        write(folder / "second", packs.resealed(change))
        return Presented(packs=(*first.packs, folder / "second"), key=first.key)

    return build


def _superseding(predicate: dict[str, Any]) -> None:
    predicate["certificateId"] = "0199b1f4-5c7e-7abc-8def-0123456789ac"
    predicate["supersedes"] = {"sha256": hashlib.sha256(canonical(packs.sound_statement())).hexdigest()}


def _unrelated(predicate: dict[str, Any]) -> None:
    predicate["certificateId"] = "0199b1f4-5c7e-7abc-8def-0123456789ad"


def _reissued(predicate: dict[str, Any]) -> None:
    predicate["issuedAt"] = "2026-11-23T02:00:00Z"


def _projected(change: Change) -> Build:
    def build(folder: Path) -> Presented:
        found = packs.sound_statement()
        projected = test_result(found["predicate"], packs.genuine()[TRAINED_SUMS])
        change(projected)
        bundle = seal(canonical(projected), FileSigner(packs.key()))
        return presented(folder, {**packs.genuine(), "test-result.sigstore.json": bundle})

    return build


def _of_another_run(projected: dict[str, Any]) -> None:
    projected["predicate"]["configuration"][1]["digest"]["sha256"] = "0" * 64


def _of_another_model(projected: dict[str, Any]) -> None:
    projected["subject"][0]["digest"]["sha256"] = "0" * 64


def _second_subject(found: dict[str, Any]) -> None:
    shared = hashlib.sha256(model_files("trained")["config.json"]).hexdigest()
    found["subject"].append({"name": "config.json", "digest": {"sha256": shared}})


def _two_digests(found: dict[str, Any]) -> None:
    found["subject"][0]["digest"]["sha512"] = "0" * 128


def _base_as_subject(found: dict[str, Any]) -> None:
    found["subject"][0] = {"name": BASE_SUMS, "digest": {"sha256": _digest(packs.genuine()[BASE_SUMS])}}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _restated(change: Change) -> Build:
    return lambda folder: presented(folder, packs.restated(change))


def _without(name: str) -> Build:
    return lambda folder: presented(folder, {key: data for key, data in packs.genuine().items() if key != name})


def _with(name: str, data: bytes) -> Build:
    return lambda folder: presented(folder, {**packs.genuine(), name: data})


def _draft(folder: Path) -> Presented:
    found = packs.sound_statement()
    found["predicate"]["seal"] = {"origin": "measured", "state": "draft", "keyFingerprint": None, "trust": "none"}
    files = {name: data for name, data in packs.genuine().items() if name != BUNDLE_NAME}
    return presented(folder, {**files, "certificate.draft.json": canonical(found)})


_REPLAYS: tuple[tuple[str, str, str | None, Build], ...] = (
    ("A11", "replayed_for_another_model", "subject.digest", _replayed(_sums_of(_other_revision()), _other_revision())),
    ("C00", "sound_pack", None, presented),
    ("C00", "unsigned_draft", "pack.unsigned_draft", _draft),
    ("C00", "no_certificate", "pack.missing", _without(BUNDLE_NAME)),
    ("C00", "no_list", "subject.missing", _without(TRAINED_SUMS)),
    ("C00", "no_list_of_the_base", "base_list.missing", _without(BASE_SUMS)),
    ("C00", "no_document", "result.missing", _without("result.json")),
    ("C00", "document_of_another_run", "result.digest", _with("result.json", b"{}")),
    ("C01", "another_revision", "model.changed", _other_model("model", _other_revision())),
    ("C01", "list_of_another_revision", "subject.digest", _replayed(_sums_of(_other_revision()))),
    ("C02", "base_in_place_of_trained", "model.mixed_up", _other_model("model", model_files("base"))),
    ("C02", "list_of_the_base", "subject.digest", _replayed(_sums_of(model_files("base")), model_files("base"))),
    ("C02", "base_as_subject", "subject.name", _restated(_base_as_subject)),
    ("C03", "trained_in_place_of_base", "base.mixed_up", _other_model("base", model_files("trained"))),
    ("C03", "list_of_trained_as_base", "base_list.digest", _with(BASE_SUMS, _sums_of(model_files("trained")))),
    ("C03", "the_base", None, _other_model("base", model_files("base"))),
    ("C04", "shared_file_as_list", "subject.digest", _replayed(model_files("trained")["config.json"])),
    ("C04", "shared_file_as_second_subject", "subject.count", _restated(_second_subject)),
    (
        "C04",
        "two_digests",
        "subject.digest_kind",
        _restated(_two_digests),
    ),
    ("C05", "superseded", "others.superseded", _two(_superseding)),
    ("C05", "unrelated_pair", None, _two(_unrelated)),
    ("C06", "same_id_twice", "others.repeated_id", _two(_reissued)),
    ("C06", "same_certificate_twice", None, _two(lambda predicate: None)),
    ("C08", "projection_of_another_run", "test_result.differs", _projected(_of_another_run)),
    ("C08", "projection_of_another_model", "test_result.differs", _projected(_of_another_model)),
    ("C08", "projection", None, _projected(lambda projected: None)),
)


def vectors() -> tuple[Vector, ...]:
    """Every one."""
    return tuple(
        Vector(id=identifier, name=f"{identifier.lower()}_{name}{'_fail' if code else ''}", code=code, build=build)
        for identifier, name, code, build in _REPLAYS
    )
