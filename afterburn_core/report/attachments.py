"""Files beside the document, as a report may use them: only where the digest is the one the document names.

A file is data of a stranger. It is opened inside the run directory alone, compared with the document before
anything is taken from it, and a reader that fails says why in words for the page.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from afterburn_core.errors import AfterburnError

if TYPE_CHECKING:
    from afterburn_core.result.model import Artifact

_CHUNK = 1 << 20


class Unusable(AfterburnError):
    """A file beside the document cannot be shown; the message is the reason, without a full stop."""


def locate(artifact: Artifact, directory: Path | None) -> Path:
    """The file of an artifact, its size checked and its digest not yet.

    Raises:
        Unusable: there is no run directory, or no such file of that size in it.
    """
    if directory is None:
        raise Unusable("the report was made from the document alone, without its run directory")
    path = (directory / artifact.path).resolve()
    if not path.is_relative_to(directory.resolve()) or not path.is_file() or path.stat().st_size != artifact.size:
        raise Unusable("the file is missing from the run directory or has another size")
    return path


def check_digest(stream: BinaryIO, artifact: Artifact) -> None:
    """Reads the stream to its end and compares; the caller goes on with the same open file.

    Raises:
        Unusable: the content is not what the document describes.
    """
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    if digest.hexdigest() != artifact.sha256:
        raise Unusable("the file is not the one the document describes: its digest differs")


def read_json(artifact: Artifact, directory: Path | None, *, max_bytes: int) -> Any:
    """The parsed content of a JSON artifact.

    Raises:
        Unusable: the file is out of reach, too large, another one, or not valid JSON.
    """
    path = locate(artifact, directory)
    if artifact.size > max_bytes:
        raise Unusable(f"the file has {artifact.size:,} bytes; at most {max_bytes:,} are read")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != artifact.sha256:
        raise Unusable("the file is not the one the document describes: its digest differs")
    try:
        return json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Unusable("the file is not valid JSON") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
