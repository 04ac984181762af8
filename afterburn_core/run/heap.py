"""Memory between the operations of a pass stays with the process, and goes back to the system after it.

glibc gives every block above a threshold back when it is freed, and the system hands out zeroed pages one fault at a
time when the next operation asks for the same size: for tensors of a megabyte that takes longer than the arithmetic.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of <malloc.h>
_KEPT = (1 << 31) - 1
_LARGEST = 32 << 20  # glibc takes no larger threshold; its own rule ends up there, and at twice that for the other
_lock = threading.Lock()
_holders = 0


@contextmanager
def kept_heap() -> Iterator[None]:
    """Freed memory is kept for the next operation while the context lasts; does nothing where the C library is not
    glibc. Contexts may nest and overlap."""
    global _holders
    library = _glibc()
    if library is None:
        yield
        return
    with _lock:
        _holders += 1
        if _holders == 1:
            library.mallopt(_TRIM, _KEPT)
            library.mallopt(_MMAP, _LARGEST)
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                library.mallopt(_TRIM, 2 * _LARGEST)
                library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
    except OSError:
        return None
