"""Are the files that somebody has those that were audited? Each one that is not is named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterburn_core.certify.checks import DetailedInvalid, Skip
from afterburn_core.certify.derived import of_files
from afterburn_core.certify.encoding import Invalid, read
from afterburn_core.certify.manifest import Differences, differences, parse_sums, scan_files
from afterburn_core.certify.paths import ListedFile, listed
from afterburn_core.errors import SubjectError

if TYPE_CHECKING:
    from afterburn_core.certify.checks_document import Document
    from afterburn_core.run.progress import Progress

Entries = tuple[tuple[str, str], ...]

_SUFFIX = ".safetensors"
_WHAT = {"model": "the audited model", "base": "the base model of the audit"}


def subject(statement: Mapping[str, Any], sums: bytes, name: str) -> Entries:
    """The files of the one subject, if the presented manifest is that subject: exactly one, never "any of".

    Raises:
        Invalid: `subject.…`, or what is wrong with the manifest (`sums.…`, `path.…`).
    """
    subjects = statement["subject"]
    if len(subjects) != 1:
        raise Invalid("subject.count", f"the statement has {len(subjects)} subjects; it must have one, {name}")
    (only,) = subjects
    if not isinstance(only, dict) or set(only) != {"name", "digest"} or only["name"] != name:
        raise Invalid("subject.name", f"the statement's subject is not {name}")
    digest = only["digest"]
    if not isinstance(digest, dict) or set(digest) != {"sha256"} or not isinstance(digest["sha256"], str):
        raise Invalid("subject.digest_kind", "the subject's digest must be its sha256 and nothing else")
    if digest["sha256"] != hashlib.sha256(sums).hexdigest():
        raise Invalid(
            "subject.digest", f"{name} is not the list of files that was signed: it was changed, or is another model's"
        )
    return parse_sums(sums)


def describes(measured: Mapping[str, Any], entries: Entries) -> Iterator[Invalid]:
    """What a certificate says of a model's files and does not follow from their list.

    Args:
        measured: what the certificate found of the model.
        entries: path and digest of each file.
    """
    digests = dict(entries)
    sums = "".join(f"{digest}  {path}\n" for path, digest in entries).encode()
    manifest = measured["manifest"]
    if (manifest["sha256"], manifest["files"]) != (hashlib.sha256(sums).hexdigest(), len(digests)):
        yield Invalid("models.manifest", f"{manifest['name']} is another list than the one described")
    for field, value in of_files(digests).items():
        if measured[field] != value:
            yield Invalid("models.manifest", f"{field} does not follow from {manifest['name']}")
    named = {*measured["notReadByRun"], *(header["path"] for header in measured["headers"])}
    if strange := sorted(named - digests.keys()):
        yield Invalid("models.manifest", f"{strange[0][:120]!a} is not in {manifest['name']}")


def base_list(predicate: Mapping[str, Any], path: Path, document: Document | None) -> Entries | Skip:
    """The files of the base model, if the manifest in the pack is the one that the certificate names.

    Args:
        predicate: what the certificate says.
        path: the manifest.
        document: the run's, which names files of the base too.

    Raises:
        Invalid: `base_list.…`, `models.manifest`, `result.model`, or what is wrong with the manifest.
    """
    base = predicate["models"]["base"]
    if base is None:
        if path.is_file():
            raise Invalid("base_list.unexpected", f"{path.name} lists files of a base model that is not certified")
        return Skip("the certificate names no files of a base model", asked=False)
    if not path.is_file():
        raise Invalid("base_list.missing", f"{path.name} is missing from the pack")
    sums = read(path, what="the checksum manifest")
    if hashlib.sha256(sums).hexdigest() != base["measured"]["manifest"]["sha256"]:
        raise Invalid("base_list.digest", f"{path.name} is not the list that the certificate names")
    entries = parse_sums(sums)
    for fault in describes(base["measured"], entries):
        raise fault
    if document is not None:
        from afterburn_core.certify.checks_document import require_same_model

        require_same_model(document, "base", entries)
    return entries


def files(
    directory: Path,
    expected: Entries,
    measured: Mapping[str, Any],
    other: str | None,
    *,
    role: str,
    threads: int | None = None,
    progress: Progress | None = None,
) -> str:
    """What is said where a directory holds exactly the expected files.

    Args:
        directory: the model that somebody has.
        expected: path and digest of each file, from a manifest that was checked.
        measured: what the certificate found of this model.
        other: SHA-256 of the other model's manifest, to tell a mix-up from a change.
        role: `model` or `base`, the first part of the codes.

    Raises:
        Invalid: `<role>.…`: which files are missing, changed, added, renamed or swapped; that the two models are mixed
            up; that only the files differ and every tensor is the same; or what is wrong with a file's name or form.
    """
    found = listed(directory)
    present = scan_files(found, threads=threads, progress=progress, stage=f"hashing {role}")
    different = differences(expected, present)
    if not different:
        if present.size != measured["manifest"]["bytes"]:
            raise Invalid("models.manifest", f"the files have {present.size} bytes, not as many as are certified")
        _require_sound_weights(found)
        flagged = [*measured["codeFiles"], *measured["pickleFiles"]]
        noted = f"; holds code or pickles: {', '.join(flagged[:3])}" if flagged else ""
        return f"{len(present.entries)} files, {_size(present.size)}: exactly those of {_WHAT[role]}{noted}"
    if other is not None and present.sha256 == other:
        mixed = "the base model, not the trained one" if role == "model" else "the trained model, not its base"
        raise Invalid(f"{role}.mixed_up", f"this is {mixed}")
    faults = different.faults()
    details = [str(fault) for fault in faults]
    count = f"{len(faults)} {'file differs' if len(faults) == 1 else 'files differ'} from {_WHAT[role]}"
    if _weights_alone(different) and _same_tensors(found, measured, threads):
        text = f"{count}, but every tensor is identical: saved again or sharded anew"
        raise DetailedInvalid(f"{role}.same_tensors", text, details)
    raise DetailedInvalid(faults[0].code.replace("model.", f"{role}."), count, details)


def _require_sound_weights(found: Sequence[ListedFile]) -> None:
    """Headers of weight files account for every byte once; others could hide something in files that are listed."""
    weights = [file for file in found if file.relative.endswith(_SUFFIX)]
    if not weights:
        return
    from afterburn_core.backends.safetensors_file import read_index

    for file in weights:
        try:
            read_index(file.path).close()
        except SubjectError as error:
            fault = str(error).replace(str(file.path), file.relative)
            raise Invalid("safetensors.malformed", fault) from error


def _weights_alone(different: Differences) -> bool:
    """Whether weights were stored otherwise, and nothing else is another: no name, no code, no configuration."""
    if different.renamed or different.swapped:
        return False
    paths = (*different.missing, *different.changed, *different.added)
    return all(path.endswith((_SUFFIX, f"{_SUFFIX}.index.json")) for path in paths)


def _same_tensors(found: Sequence[ListedFile], measured: Mapping[str, Any], threads: int | None) -> bool:
    """Whether the weights hold the certified tensors, whatever files they lie in."""
    if measured["tensorsSha256"] is None:
        return False
    from afterburn_core.certify.tensors import read_tensors

    try:
        tensors = read_tensors(found, threads=threads)
    except Invalid:
        return False
    return tensors is not None and tensors.sha256 == measured["tensorsSha256"]


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count = count // 1000 if unit != "MB" else round(count / 1000, 1)  # type: ignore[assignment]
    return f"{count} {unit}"
