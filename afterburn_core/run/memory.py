"""What fits into this machine's memory."""

from __future__ import annotations

import math
import os
from pathlib import Path

_UNKNOWN = 8 << 30
_COPIES = 5
"""Gram matrices of base, trained and the difference, the product being added, and the eigensolver's copy."""
_CGROUP = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available_memory() -> int:
    """Bytes that can be had without swapping: what the system says, or less where a container's limit is lower."""
    found = _system()
    for limit, usage in _CGROUP:
        try:
            ceiling, used = Path(limit).read_text().strip(), int(Path(usage).read_text())
            if ceiling != "max":
                found = min(found, max(0, int(ceiling) - used))
        except (OSError, ValueError):
            continue
    return found


def largest_order(workers: int) -> int:
    """Largest order of Gram matrices that leaves half of the memory free when every worker has one in hand.

    `$AFTERBURN_MAX_ORDER` overrides it.
    """
    own = os.environ.get("AFTERBURN_MAX_ORDER", "")
    if own.isdigit():
        return int(own)
    return max(1024, math.isqrt(available_memory() // 2 // (8 * _COPIES * max(1, workers))))


def _system() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN
