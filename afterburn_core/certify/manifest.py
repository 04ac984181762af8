"""The checksum manifest of a model: every file with its SHA-256, in the text that `sha256sum -c` reads.

Files are hashed side by side on all cores; hashing releases the interpreter's lock. One file cannot be split, since
SHA-256 is sequential, so the largest ones begin first. A file that changes while it is read is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import attrs

from afterburn_core.certify.encoding import LIMIT, Invalid
from afterburn_core.certify.paths import ListedFile, check_paths, listed
from afterburn_core.errors import SubjectError
from afterburn_core.result.model import FileDigest
from afterburn_core.run.executor import available_cores
from afterburn_core.run.progress import Progress, Silent

_CHUNK = 1 << 20
T = TypeVar("T")
R = TypeVar("R")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


@attrs.frozen(kw_only=True)
class Manifest:
    """The files of a model, sorted by the UTF-8 bytes of their paths."""

    entries: tuple[FileDigest, ...]

    @property
    def sha256(self) -> str:
        """Digest of the manifest as a file: the identity of the set of files with their names."""
        return hashlib.sha256(to_sums(self)).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.entries)


@attrs.frozen(kw_only=True)
class Differences:
    """How a model's files differ from a manifest; each file is in one list only."""

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Of the same name and other content."""
    added: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    """Listed name and present name of the same content."""
    swapped: tuple[tuple[str, str], ...] = ()
    """A file, and the other listed name whose content it has."""

    def __bool__(self) -> bool:
        return any(attrs.astuple(self, recurse=False))

    def faults(self) -> tuple[Invalid, ...]:
        """One refusal per file: `model.missing`, `.changed`, `.added`, `.renamed`, `.swapped`."""
        return (
            *(Invalid("model.missing", f"{path}: is listed and not there") for path in self.missing),
            *(Invalid("model.changed", f"{path}: has other content than listed") for path in self.changed),
            *(Invalid("model.swapped", f"{path}: has the content listed for {other}") for path, other in self.swapped),
            *(Invalid("model.renamed", f"{listed}: is there under the name {now}") for listed, now in self.renamed),
            *(Invalid("model.added", f"{path}: is there and not listed") for path in self.added),
        )


def scan(
    model: Path,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    stage: str = "hashing files",
) -> Manifest:
    """Hashes every file of a model's directory, or the one file that a model is.

    Args:
        model: a directory or a file.
        threads: files hashed at once; all cores this process may use if not given.
        progress: told how many bytes there are and are done.
        stage: what the progress calls it.

    Raises:
        SubjectError: a file cannot be read.
        Invalid: `model.changed_while_read`, and as `paths.listed`.
    """
    return scan_files(listed(model), threads=threads, progress=progress, stage=stage)


def scan_files(
    files: Sequence[ListedFile],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    stage: str = "hashing files",
) -> Manifest:
    """As `scan`, for files that were listed already."""
    progress = progress or Silent()
    progress.begin(stage, sum(file.size for file in files), "bytes")
    try:
        digests = in_parallel(
            lambda file, stop: _digest(file, progress.advance, stop),
            sorted(files, key=lambda file: -file.size),
            threads,
        )
    finally:
        progress.end()
    return Manifest(entries=tuple(sorted(digests, key=lambda entry: entry.path.encode())))


def in_parallel(work: Callable[[T, threading.Event], R], items: Sequence[T], threads: int | None) -> list[R]:
    """What `work` gives for each item, in their order; the first failure sets the event that stops the others."""
    from concurrent.futures import ThreadPoolExecutor  # costs a verifier that hashes nothing a tenth of its time

    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=max(1, threads or available_cores())) as pool:
        pending = [pool.submit(work, item, stop) for item in items]
        try:
            return [future.result() for future in pending]
        except BaseException:
            stop.set()  # leaving the pool waits for its threads, and a shard may take long
            for future in pending:
                future.cancel()
            raise


def to_sums(manifest: Manifest) -> bytes:
    """The manifest as text: `<sha256><two spaces><path>` and a line feed for each file."""
    return "".join(f"{entry.sha256}  {entry.path}\n" for entry in manifest.entries).encode()


def parse_sums(data: bytes) -> tuple[tuple[str, str], ...]:
    """Path and digest of each line of a manifest, in order.

    Raises:
        Invalid: `sums.` and one of `too_large`, `encoding`, `empty`, `syntax`, `order`; `path.…` as `check_paths`.
    """
    if len(data) > LIMIT:
        raise Invalid("sums.too_large", f"the checksum manifest has {len(data)} bytes, more than the {LIMIT} read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("sums.encoding", f"the checksum manifest is not UTF-8 (byte {error.start})") from error
    if not text:
        raise Invalid("sums.empty", "the checksum manifest lists no file")
    lines = text.split("\n")
    if lines.pop() != "":
        raise Invalid("sums.syntax", "the checksum manifest does not end with a line feed")
    entries: list[tuple[str, str]] = []
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise Invalid("sums.syntax", f"line {number} of the checksum manifest is not `<sha256>  <path>`")
        entries.append((match[2], match[1]))
    check_paths(path for path, _ in entries)
    keys = [path.encode() for path, _ in entries]
    if keys != sorted(keys):
        raise Invalid("sums.order", "the checksum manifest is not sorted by path")
    return tuple(entries)


def differences(expected: Sequence[tuple[str, str]], present: Manifest) -> Differences:
    """How the files that are there differ from the listed ones.

    Args:
        expected: path and digest, as `parse_sums` gives them.
        present: the files as they are now (`scan`).
    """
    wanted, found = dict(expected), {entry.path: entry.sha256 for entry in present.entries}
    missing = [path for path in wanted if path not in found]
    added = [path for path in found if path not in wanted]
    gone = {wanted[path]: path for path in reversed(missing)}
    renamed = [(gone.pop(found[path]), path) for path in added if found[path] in gone]
    moved = {name for pair in renamed for name in pair}
    names = {digest: path for path, digest in reversed(expected)}
    other = [path for path in wanted if path in found and found[path] != wanted[path]]
    return Differences(
        missing=tuple(path for path in missing if path not in moved),
        changed=tuple(path for path in other if found[path] not in names),
        added=tuple(path for path in added if path not in moved),
        renamed=tuple(renamed),
        swapped=tuple((path, names[found[path]]) for path in other if found[path] in names),
    )


def _digest(file: ListedFile, advance: Callable[[int], None], stop: threading.Event) -> FileDigest:
    digest, size, buffer = hashlib.sha256(), 0, bytearray(_CHUNK)
    view = memoryview(buffer)
    try:
        with open(file.path, "rb", buffering=0) as stream:
            before = os.fstat(stream.fileno())
            while (count := stream.readinto(buffer)) and not stop.is_set():
                digest.update(view[:count])
                size += count
                advance(count)
                if size > before.st_size:  # one that grows as fast as it is read would never end
                    break
            after = os.stat(file.path)
    except OSError as error:
        raise SubjectError(f"{file.path}: cannot be read ({error.strerror})") from error
    same = all(getattr(before, name) == getattr(after, name) for name in ("st_size", "st_mtime_ns", "st_ino", "st_dev"))
    if not stop.is_set() and not (same and size == after.st_size):
        raise Invalid("model.changed_while_read", f"{file.relative}: changed while it was being hashed")
    return FileDigest(path=file.relative, size=size, sha256=digest.hexdigest())
