"""Asks an endpoint for many texts at once, and hands each on as soon as it is there.

One thread per connection takes the next request of the list, tries it until it is answered, and puts the sample in a
queue. The first request goes alone: it shows which parameters the server takes, so that all others are asked alike.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.backends.api_address import Address, Route, clip, shown_model
from afterburn_core.backends.api_client import Client, Refused
from afterburn_core.backends.api_dialect import Dialect, read_sample
from afterburn_core.backends.api_retry import Gate, Patience, Stopped, Transient, Unreachable
from afterburn_core.errors import AfterburnError, SubjectError
from afterburn_core.generation.model import Completed, Decoding, GenerationFacts, Request, Sample
from afterburn_core.result.strict_json import is_text, show

WORKERS = 8
_POLL = 0.1  # seconds between looks at whether workers are still there


@attrs.define
class _Seen:
    """What answers said besides their texts."""

    models: set[str] = attrs.field(factory=set)
    fingerprints: set[str] = attrs.field(factory=set)
    servers: set[str] = attrs.field(factory=set)
    without_logprobs: int = 0
    without_choices: int = 0
    texts: dict[tuple[str, int], set[str]] = attrs.field(factory=lambda: defaultdict(set))
    counts: dict[tuple[str, int], int] = attrs.field(factory=lambda: defaultdict(int))

    def note(self, body: Mapping[str, Any], server: str | None, request: Request, sample: Sample) -> None:
        for found, value in (
            (self.models, body.get("model")),
            (self.fingerprints, body.get("system_fingerprint")),
            (self.servers, server),
        ):
            if isinstance(value, str) and is_text(value):
                found.add(shown_model(value)[:200])
        self.without_logprobs += sample.logprob is None
        self.without_choices += bool(request.choices) and sample.choice_logprobs is None
        self.texts[request.probe, request.turn].add(sample.text)
        self.counts[request.probe, request.turn] += 1

    def properties(self) -> dict[str, Any]:
        several = [probe for probe, count in self.counts.items() if count > 1]
        identical = sum(len(self.texts[probe]) == 1 for probe in several)
        return {
            name: value
            for name, value in {
                "served_model": sorted(self.models),
                "system_fingerprint": sorted(self.fingerprints),
                "server": sorted(self.servers),
                "samples_without_logprob": self.without_logprobs,
                "choices_without_logprobs": self.without_choices,
                "prompts_with_identical_samples": identical,
            }.items()
            if value
        }


@attrs.define
class _Work:
    """The requests of one call, shared by its workers."""

    waiting: Iterator[Request]
    done: queue.SimpleQueue[Completed]
    stop: threading.Event = attrs.field(factory=threading.Event)
    """Ends workers at once."""
    failing: threading.Event = attrs.field(factory=threading.Event)
    """Ends workers after the exchange under way."""
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    failure: AfterburnError | None = None
    answered: bool = False

    def take(self) -> Request | None:
        with self.lock:
            return None if self.failing.is_set() else next(self.waiting, None)

    def fail(self, error: AfterburnError) -> None:
        with self.lock:
            self.failure = self.failure or error
        self.failing.set()


class ApiGenerator:
    """Texts of one served model."""

    def __init__(
        self, address: Address, model: str, decoding: Decoding, *, workers: int | None, patience: Patience
    ) -> None:
        self._address, self._model, self._patience = address, model, patience
        self._workers = workers or WORKERS
        self._route: Route = address.route or ("completions" if decoding.template == "plain" else "chat")
        self._dialect = Dialect(self._route, model, decoding)
        self._decoding = attrs.asdict(decoding, filter=lambda attribute, value: attribute.name != "template")
        self._seen = _Seen()
        self._seen_lock = threading.Lock()

    @property
    def facts(self) -> GenerationFacts:
        """How the texts come about; what answers say of the server is known once there are some."""
        properties: dict[str, Any] = {
            "model": shown_model(self._model),
            "endpoint": self._route,
            "host": self._address.host,
        }
        with self._seen_lock:
            properties |= self._seen.properties()
        if self._dialect.refusals:
            properties["refused_parameters"] = list(self._dialect.refusals)
        return GenerationFacts(
            engine=f"api {self._address.host}",
            template="chat" if self._route == "chat" else "plain",
            decoding=self._decoding,
            properties=properties,
        )

    def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
        """Every request's sample as soon as it is there, none twice.

        After a failure, and after Ctrl-C, what is finished is handed over before the error is raised.

        Raises:
            SubjectError: a request was refused, or failed as often as patience allows.
        """
        rest = iter(requests)
        first = next(rest, None)
        if first is None:
            return
        for waiting, workers in ((iter([first]), 1), (rest, min(self._workers, len(requests) - 1))):
            yield from self._run(waiting, workers)

    def groups(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """Every request by itself: none shares anything with another that we could know of."""
        return [(request,) for request in requests]

    def close(self) -> None:
        """Connections live no longer than a call of `generate`."""

    def _run(self, waiting: Iterator[Request], workers: int) -> Iterator[Completed]:
        work = _Work(waiting=waiting, done=queue.SimpleQueue())
        work.answered = bool(self._seen.counts)
        gate = Gate(work.failing)
        clients = [Client(self._address, self._patience) for _ in range(workers)]
        threads = [
            threading.Thread(target=self._serve, args=(work, gate, client), name="afterburn-api", daemon=True)
            for client in clients
        ]
        for thread in threads:
            thread.start()
        try:
            yield from self._finished(work, threads)
        except KeyboardInterrupt:
            _end(work, clients, threads)
            yield from _drained(work)
            raise
        finally:
            _end(work, clients, threads)
        if work.failure is not None:
            raise work.failure

    def _finished(self, work: _Work, threads: Sequence[threading.Thread]) -> Iterator[Completed]:
        """Samples until all workers ended; once one failed for good, the others have a moment to finish theirs."""
        until = None
        while any(thread.is_alive() for thread in threads):
            if work.failing.is_set():
                until = until or time.monotonic() + self._patience.grace
                if time.monotonic() > until:
                    break
            with contextlib.suppress(queue.Empty):
                yield work.done.get(timeout=_POLL)
        yield from _drained(work)

    def _serve(self, work: _Work, gate: Gate, client: Client) -> None:
        """What a worker does."""
        try:
            while not work.stop.is_set() and (request := work.take()) is not None:
                sample = self._answer(request, work, gate, client)
                work.answered = True
                work.done.put(Completed(request=request, sample=sample))
        except Stopped:
            pass
        except AfterburnError as error:
            work.fail(error)
        except Exception as error:  # noqa: BLE001 - a worker that dies in silence would look like a complete run
            work.fail(SubjectError(f"{self._address.public}: {type(error).__name__} while asking; report this"))
        finally:
            client.close()

    def _answer(self, request: Request, work: _Work, gate: Gate, client: Client) -> Sample:
        """Asks until there is an answer.

        Raises:
            Stopped: the run ended.
            SubjectError: there will be none.
        """
        attempt, delay = 0, 0.0
        while True:
            gate.wait(delay)
            version = self._dialect.version
            try:
                reply = client.post(self._dialect.resource, self._dialect.payload(request))
                sample = read_sample(reply.body, request, self._route)
            except Refused as refused:
                if not self._dialect.learn(refused.said, version):
                    raise self._refusal(request, refused) from None
                delay = 0.0
                continue
            except Transient as failure:
                attempt += 1
                if work.stop.is_set() or work.failing.is_set():
                    raise Stopped from None
                delay = self._delay(failure, attempt, request, work, gate)
                continue
            with self._seen_lock:
                self._seen.note(reply.body, reply.server, request, sample)
            return sample

    def _delay(self, failure: Transient, attempt: int, request: Request, work: _Work, gate: Gate) -> float:
        """Seconds until the next attempt.

        Raises:
            SubjectError: there shall be none.
        """
        patience, where = self._patience, self._address.public
        asked = failure.retry_after
        if asked is not None and asked > patience.longest_retry_after:
            raise SubjectError(
                f"{where}: asks to wait {asked:.0f} s ({failure.reason}); run again later, what is finished is kept"
            )
        never = isinstance(failure, Unreachable) and not work.answered
        most = min(patience.attempts, patience.first_attempts) if never else patience.attempts
        if attempt >= most:
            advice = "check that the server runs there" if never else "run again later, what is finished is kept"
            raise SubjectError(
                f"{where}: prompt {show(request.probe)} failed {attempt} times, last: {failure.reason}; {advice}"
            )
        if asked is not None:
            gate.pause(asked)
        return max(asked or 0.0, patience.delay(attempt, request.seed))

    def _refusal(self, request: Request, refused: Refused) -> SubjectError:
        said = clip(refused.said, self._address.key)
        return SubjectError(
            f"{self._address.public}: refused prompt {show(request.probe)} ({refused.status}: {said}); "
            "change the prompt or the decoding parameter that it names"
        )


def _drained(work: _Work) -> Iterator[Completed]:
    with contextlib.suppress(queue.Empty):
        while True:
            yield work.done.get_nowait()


def _end(work: _Work, clients: Sequence[Client], threads: Sequence[threading.Thread]) -> None:
    """Stops all workers, also those that wait for a server, and does not wait for them long."""
    work.stop.set()
    work.failing.set()
    if any(thread.is_alive() for thread in threads):
        for client in clients:
            client.abort()
        until = time.monotonic() + 1.0
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
