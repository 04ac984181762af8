"""What the predicate says of the models: which bytes they are, and how the trained one relates to its base."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.certify.derived import DOCUMENTS, MOST_TENSORS, clip, clip_or_none, jsonable, of_files
from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.manifest import Manifest
from afterburn_core.certify.tensors import TensorChanges, TensorDigest, Tensors, changes, digest_of
from afterburn_core.result.model import Result, Subject

MOST_DIFFERENCES = 200
_LARGEST_CONFIGURATION = 1 << 20  # bytes; a configuration is a few thousand


@attrs.frozen(kw_only=True)
class ModelFiles:
    """A model's files as they were hashed for a certificate."""

    manifest: Manifest
    source: str
    """`files`: hashed now; `run`: the list that the run recorded, which names only what it read."""
    tensors: Tensors | None = None
    directory: Path | None = None
    """Where they lie, for comparing configurations."""


def require_same_files(subject: Subject, manifest: Manifest) -> None:
    """Refuses to sign for files that are not those the run hashed. Files that the run did not read may be there too.

    Raises:
        Invalid: `model.not_as_run`: a file is gone or has other content.
    """
    present = {entry.path: entry for entry in manifest.entries}
    for file in subject.files:
        found = present.get(file.path)
        if found is None:
            raise Invalid(
                "model.not_as_run",
                f"{subject.id}: {file.path} was read by the run and is not there; give the directory that was audited",
            )
        if found.sha256 != file.sha256:
            raise Invalid(
                "model.not_as_run",
                f"{subject.id}: {file.path} is not the file that the run read (sha256 {found.sha256[:12]}…, then "
                f"{file.sha256[:12]}…); audit the model as it is now",
            )


def model(subject: Subject, files: ModelFiles, name: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    """One model: what its owner calls it, and what it is found to be.

    Args:
        subject: the run's entry.
        files: its files.
        name: file name of its manifest.
        declared: from the declaration.
    """
    entries = files.manifest.entries
    read = {file.path for file in subject.files}
    tensors = files.tensors
    return {
        "declared": {"origin": "declared", **declared},
        "measured": {
            "origin": "measured",
            "label": clip(subject.label),
            "kind": subject.kind,
            "backend": subject.backend,
            "hubCommit": clip_or_none(subject.revision),
            "architecture": clip_or_none(subject.architecture),
            "modelType": clip_or_none(subject.model_type),
            "parameters": subject.parameters,
            "dtypes": [{"dtype": clip(dtype), "parameters": count} for dtype, count in sorted(subject.dtypes.items())],
            "manifest": {
                "name": name,
                "sha256": files.manifest.sha256,
                "files": len(entries),
                "bytes": files.manifest.size,
                "source": files.source,
            },
            **of_files({entry.path: entry.sha256 for entry in entries}),
            "tensors": None if tensors is None else len(tensors.by_name),
            "tensorsSha256": None if tensors is None else tensors.sha256,
            "headers": []
            if tensors is None
            else [{"path": path, "headerSha256": digest} for path, digest in sorted(tensors.headers.items())],
            "notReadByRun": sorted(entry.path for entry in entries if entry.path not in read),
        },
    }


def relation(
    result: Result, trained: ModelFiles, base: ModelFiles | None, declared: Mapping[str, Any]
) -> dict[str, Any]:
    """How the trained model came from the base, as declared, and how it differs from it, as found."""
    subject = next(one for one in result.subjects if one.role == "trained")
    found: dict[str, Any] = {
        "origin": "measured",
        "kind": "recorded" if subject.kind == "recorded" else "adapter" if subject.kind == "adapter" else "full",
        "baseManifestSha256": None if base is None else base.manifest.sha256,
        "adapter": _adapter(subject),
        "tensors": None,
        "changedTensors": [],
        "addedTensors": [],
        "removedTensors": [],
        "changedTensorsSha256": None,
        "unchangedTensorsSha256": None,
        "configurationDifferences": [],
        "tokenizer": "unknown",
        "chatTemplate": "unknown",
    }
    if subject.kind != "recorded" and base is not None:
        for field, names in (("tokenizer", "tokenizerSha256"), ("chatTemplate", "chatTemplateSha256")):
            found[field] = _compared(base.manifest, trained.manifest, DOCUMENTS[names], subject.kind)
    if subject.kind == "checkpoint" and base is not None:
        found["configurationDifferences"] = _configuration(base, trained)
        if base.tensors is not None and trained.tensors is not None:
            found.update(_tensors(changes(base.tensors, trained.tensors)))
    return {"declared": {"origin": "declared", "runMethod": result.run.method, **declared}, "measured": found}


def _tensors(found: TensorChanges) -> dict[str, Any]:
    after = tuple(pair[1] for pair in found.changed)
    return {
        "tensors": {
            "changed": len(found.changed),
            "added": len(found.added),
            "removed": len(found.removed),
            "unchanged": len(found.unchanged),
        },
        "changedTensors": [_listed(trained, base, trained) for base, trained in found.changed[:MOST_TENSORS]],
        "addedTensors": [_listed(one, None, one) for one in found.added[:MOST_TENSORS]],
        "removedTensors": [_listed(one, one, None) for one in found.removed[:MOST_TENSORS]],
        "changedTensorsSha256": digest_of(after),
        "unchangedTensorsSha256": digest_of(found.unchanged),
    }


def _listed(shown: TensorDigest, base: TensorDigest | None, trained: TensorDigest | None) -> dict[str, Any]:
    return {
        "name": clip(shown.name),
        "dtype": shown.dtype,
        "shape": list(shown.shape),
        "baseSha256": None if base is None else base.sha256,
        "trainedSha256": None if trained is None else trained.sha256,
    }


def _adapter(subject: Subject) -> dict[str, Any] | None:
    if subject.kind != "adapter":
        return None
    plain = {key: jsonable(value) for key, value in sorted(subject.properties.items())}
    return {"properties": json.dumps(plain, sort_keys=True, ensure_ascii=False, default=str)[:4000]}


def _compared(base: Manifest, trained: Manifest, names: Sequence[str], kind: str) -> str:
    before = {entry.path: entry.sha256 for entry in base.entries if entry.path in names}
    after = {entry.path: entry.sha256 for entry in trained.entries if entry.path in names}
    if not after:
        return "of the base" if kind == "adapter" and before else "absent"
    return "equal" if before == after else "differs"


def _configuration(base: ModelFiles, trained: ModelFiles) -> list[dict[str, Any]]:
    """Keys of `config.json` whose values differ, as JSON texts; empty where either cannot be read."""
    if base.directory is None or trained.directory is None:
        return []
    before, after = _flat(base.directory), _flat(trained.directory)
    differing = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    return [
        {"key": clip(key), "base": before.get(key), "trained": after.get(key)} for key in differing[:MOST_DIFFERENCES]
    ]


def _flat(directory: Path) -> dict[str, str]:
    path = directory / "config.json"
    try:
        if path.stat().st_size > _LARGEST_CONFIGURATION:
            return {}
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    found: dict[str, str] = {}

    def walk(value: Any, key: str) -> None:
        if isinstance(value, dict) and value:
            for name, item in value.items():
                walk(item, f"{key}.{name}" if key else name)
        else:
            found[key] = clip(json.dumps(value, sort_keys=True, ensure_ascii=True))[:300]

    walk(document, "")
    return found
