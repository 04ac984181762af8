"""Keeps numerical libraries from starting threads of their own where the work is parallel already, or too small.

Two threads of BLAS that wait for each other on a busy machine make a product of small matrices a hundred times slower.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def single_threaded() -> Iterator[None]:
    """Keeps BLAS and torch, as far as they are loaded, on the calling thread."""
    if "numpy" not in sys.modules:
        yield
        return
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch is not None else 0
    if torch is not None:
        torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(threads)
