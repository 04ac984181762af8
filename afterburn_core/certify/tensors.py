"""Digests of single tensors: which ones training changed, told from the bytes and not from any arithmetic.

Read from safetensors files alone, whose headers are checked for overlaps, holes and excess before anything is
believed: bytes that belong to no tensor could hide something. Other formats need a library to say where a tensor lies.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from afterburn_core.backends.safetensors_file import SafetensorsFile, read_index
from afterburn_core.backends.tensors import ITEM_SIZE
from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.manifest import in_parallel
from afterburn_core.certify.paths import ListedFile
from afterburn_core.errors import SubjectError
from afterburn_core.run.progress import Progress, Silent

SUFFIX = ".safetensors"
_CHUNK = 1 << 20


@attrs.frozen(kw_only=True)
class TensorDigest:
    """One tensor as stored."""

    name: str
    dtype: str
    """As the file's header spells it, such as `BF16`."""
    shape: tuple[int, ...]
    sha256: str
    """Of the raw bytes."""

    @property
    def line(self) -> str:
        """How lists of tensors are hashed: `<sha256>  <dtype>  <shape>  <name>` and a line feed."""
        return f"{self.sha256}  {self.dtype}  {'x'.join(map(str, self.shape)) or 'scalar'}  {self.name}\n"


@attrs.frozen(kw_only=True)
class Tensors:
    """All tensors of a model, and the digests of the headers that describe them."""

    by_name: Mapping[str, TensorDigest]
    headers: Mapping[str, str]
    """SHA-256 of each file's header, by path: a file saved again keeps its tensors and changes this."""

    @property
    def sha256(self) -> str:
        """Digest of all tensors whatever files they lie in: equal for a model that was merely sharded anew."""
        return digest_of(self.by_name.values())


@attrs.frozen(kw_only=True)
class TensorChanges:
    """How the tensors of a trained model differ from those of its base, by name."""

    changed: tuple[tuple[TensorDigest, TensorDigest], ...]
    """Base and trained."""
    added: tuple[TensorDigest, ...]
    removed: tuple[TensorDigest, ...]
    unchanged: tuple[TensorDigest, ...]


def digest_of(tensors: Iterable[TensorDigest]) -> str:
    """SHA-256 over the tensors' lines, sorted by their UTF-8 bytes."""
    return hashlib.sha256(b"".join(sorted(tensor.line.encode() for tensor in tensors))).hexdigest()


def changes(base: Tensors, trained: Tensors) -> TensorChanges:
    """What was changed, added, removed and left alone, each sorted by name."""
    before, after = base.by_name, trained.by_name
    both = sorted(before.keys() & after.keys())
    return TensorChanges(
        changed=tuple((before[name], after[name]) for name in both if before[name] != after[name]),
        added=tuple(after[name] for name in sorted(after.keys() - before.keys())),
        removed=tuple(before[name] for name in sorted(before.keys() - after.keys())),
        unchanged=tuple(after[name] for name in both if before[name] == after[name]),
    )


def read_tensors(
    files: Sequence[ListedFile],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    stage: str = "hashing tensors",
) -> Tensors | None:
    """Digests of every tensor in a model's safetensors files; `None` where it has none.

    Raises:
        SubjectError: a file cannot be read.
        Invalid: `safetensors.malformed`: a header that does not account for every byte once; `safetensors.duplicate`:
            two files hold a tensor of one name.
    """
    progress = progress or Silent()
    weights = [file for file in files if file.relative.endswith(SUFFIX)]
    if not weights:
        return None
    opened: list[tuple[ListedFile, SafetensorsFile]] = []
    try:
        for file in weights:
            try:
                opened.append((file, read_index(file.path)))
            except SubjectError as error:
                fault = str(error).replace(str(file.path), file.relative)
                raise Invalid("safetensors.malformed", fault) from error
        names = [name for _, source in opened for name in source.tensors]
        if len(set(names)) != len(names):
            times = Counter(names)
            twice = next(name for name in names if times[name] > 1)
            raise Invalid("safetensors.duplicate", f"tensor {twice[:120]!a} is stored in two files")
        progress.begin(stage, sum(t.nbytes for _, source in opened for t in source.tensors.values()), "bytes")
        try:
            work = [(source, name) for _, source in opened for name in source.tensors]
            work.sort(key=lambda item: -item[0].tensors[item[1]].nbytes)
            digests = in_parallel(lambda item, stop: _digest(*item, progress.advance, stop), work, threads)
        finally:
            progress.end()
        headers = {file.relative: _header_digest(source) for file, source in opened}
    finally:
        for _, source in opened:
            source.close()
    return Tensors(by_name={digest.name: digest for digest in digests}, headers=headers)


def _header_digest(source: SafetensorsFile) -> str:
    (length,) = struct.unpack("<Q", os.pread(source.descriptor, 8, 0))
    return hashlib.sha256(os.pread(source.descriptor, length, 8)).hexdigest()


def _digest(source: SafetensorsFile, name: str, advance: Callable[[int], None], stop: threading.Event) -> TensorDigest:
    info, digest, buffer = source.tensors[name], hashlib.sha256(), bytearray(_CHUNK)
    view, position, left = memoryview(buffer), source.offsets[name], info.numel * ITEM_SIZE[info.dtype]
    while left and not stop.is_set():
        count = os.preadv(source.descriptor, [view[: min(left, _CHUNK)]], position)
        if count == 0:
            raise Invalid(
                "model.changed_while_read", f"{source.path.name}: ended within a tensor; it changed meanwhile"
            )
        digest.update(view[:count])
        position, left = position + count, left - count
        advance(count)
    return TensorDigest(name=name, dtype=info.dtype, shape=info.shape, sha256=digest.hexdigest())
