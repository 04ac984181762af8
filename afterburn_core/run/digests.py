"""Content digests of files, and the proof that files did not change while they were read."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from afterburn_core.errors import SubjectError
from afterburn_core.result.model import FileDigest

_CHUNK = 1 << 20


@attrs.frozen(kw_only=True)
class SubjectFile:
    """A file that belongs to a subject."""

    path: Path
    relative: str
    """POSIX path below the subject's directory."""


@attrs.frozen(kw_only=True)
class FileState:
    """What identifies an unchanged file without reading it: size, modification time and inode."""

    size: int
    mtime_ns: int
    inode: int


def file_state(path: Path) -> FileState:
    """The present state of a file.

    Raises:
        SubjectError: it is gone or cannot be read.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise SubjectError(f"{path}: cannot be read ({error.strerror}); it was there when the run began") from error
    return FileState(size=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino)


def require_unchanged(before: Mapping[Path, FileState], discard: Callable[[], None]) -> None:
    """Refuses numbers of files that something wrote to meanwhile.

    Args:
        before: the states when reading began.
        discard: forgets what was computed from them; called before the refusal.

    Raises:
        SubjectError: a file is gone or another one now.
    """
    for path, state in before.items():
        try:
            changed = file_state(path) != state
        except SubjectError:
            discard()
            raise
        if changed:
            discard()
            raise SubjectError(
                f"{path}: changed while it was being read, so the numbers would mix two versions; "
                "run again when nothing writes to it"
            )


def digest_files(
    *groups: Sequence[SubjectFile], threads: int, advance: Callable[[int], None] = lambda count: None
) -> tuple[tuple[FileDigest, ...], ...]:
    """SHA-256 of every file, group by group, each sorted by relative path; files of all groups share the threads.

    Args:
        groups: the files of each subject.
        threads: files hashed at once; hashing releases the interpreter's lock.
        advance: called with the number of bytes just hashed.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        pending = [[pool.submit(_digest, file, advance, stop) for file in files] for files in groups]
        try:
            digests = [[future.result() for future in futures] for futures in pending]
        except BaseException:
            stop.set()  # leaving the pool waits for its threads, and a shard may take long
            raise
    return tuple(tuple(sorted(group, key=lambda digest: digest.path.encode())) for group in digests)


def _digest(file: SubjectFile, advance: Callable[[int], None], stop: threading.Event) -> FileDigest:
    digest, size, buffer = hashlib.sha256(), 0, bytearray(_CHUNK)
    view = memoryview(buffer)
    try:
        with open(file.path, "rb", buffering=0) as stream:
            while (count := stream.readinto(buffer)) and not stop.is_set():
                digest.update(view[:count])
                size += count
                advance(count)
    except OSError as error:
        raise SubjectError(f"{file.path}: cannot be read ({error.strerror})") from error
    return FileDigest(path=file.relative, size=size, sha256=digest.hexdigest())


def combined_digest(files: Iterable[FileDigest]) -> str:
    """Identity of a set of files: sha256 over their `sha256  path` lines, sorted by path, as `sha256sum` has them."""
    lines = sorted((file.path.encode(), f"{file.sha256}  {file.path}\n".encode()) for file in files)
    return hashlib.sha256(b"".join(line for _, line in lines)).hexdigest()
