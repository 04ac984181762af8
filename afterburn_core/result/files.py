"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from afterburn_core.errors import AfterburnError

__all__ = ["replace_file"]


def replace_file(path: Path, data: bytes) -> None:
    """Writes `data` to `path` such that no reader, and no crash, ever sees half of it.

    Raises:
        AfterburnError: the folder does not exist or cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # same folder: a rename must not copy
    try:
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise AfterburnError(f"{path}: cannot be written: {error.strerror or error}; {_remedy(error)}") from error


def _remedy(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return "free some space or choose another place, and run the command again"
    return "choose another place"
