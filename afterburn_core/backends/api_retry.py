"""When to ask again, and how long to wait: exponential backoff with jitter, `Retry-After`, one gate for all workers."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import attrs


class Transient(Exception):
    """A request failed in a way that may pass: overload, a cut connection, an answer that is no JSON."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Unreachable(Transient):
    """There was no connection at all."""


class Stopped(Exception):
    """The run ended while a worker waited."""


@attrs.frozen(kw_only=True)
class Patience:
    """How long a request is tried."""

    attempts: int = 8
    """Times a request is sent at most."""
    first_attempts: int = 3
    """The same for a server that never answered yet: it is likelier not there than overloaded."""
    first_delay: float = 0.5
    """Seconds before the second attempt; doubled each time."""
    longest_delay: float = 30.0
    longest_retry_after: float = 600.0
    """Longest wait that a server may ask for."""
    stall: float = 300.0
    """Seconds without a byte after which a connection counts as dead; a long text takes long to its first byte."""
    deadline: float = 1800.0
    """Seconds for one attempt in all, against servers that drip."""
    connect: float = 20.0
    """Seconds to connect."""
    grace: float = 10.0
    """Seconds that requests under way have to finish once another failed for good."""

    def delay(self, attempt: int, seed: int) -> float:
        """Seconds to wait after attempt number `attempt`, from 1: between half and all of first_delay · 2^(attempt−1).

        The jitter is a function of the request's seed and the attempt, so that a schedule can be repeated.
        """
        whole = min(self.longest_delay, self.first_delay * 2.0 ** (attempt - 1))
        return whole * (0.5 + 0.5 * random.Random(f"{seed}/{attempt}").random())


class Gate:
    """Holds all workers back while a server asks for a pause."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._until = 0.0

    def pause(self, seconds: float) -> None:
        """Nobody passes for so long; a longer pause stays."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def wait(self, seconds: float = 0.0) -> None:
        """Waits so long, and until no pause is on.

        Raises:
            Stopped: the run ended meanwhile.
        """
        own = time.monotonic() + seconds
        while True:
            with self._lock:
                left = max(own, self._until) - time.monotonic()
            if self._stop.is_set():
                raise Stopped
            if left <= 0:
                return
            if self._stop.wait(left):
                raise Stopped


def parse_retry_after(value: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number, or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
