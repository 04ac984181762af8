"""One subject answers a list of requests: from the cache where it has, from the model where not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from afterburn_core import __version__
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Generator, Request, Sample, Serving
from afterburn_core.generation.requests import requests_digest
from afterburn_core.generation.stored import sample_from_row, sample_to_row
from afterburn_core.result.model import Subject
from afterburn_core.run.cache import RowCache, cache_key

VERSION = 1
"""Raised whenever equal requests may be answered differently."""

Answers = Mapping[tuple[str, int], Sample]
"""Samples by probe and number."""


@attrs.frozen(kw_only=True)
class Keeping:
    """Where samples are kept, and what they depend on besides the requests."""

    root: Path
    identity: Mapping[str, Any]
    """Digest of the subject, backend, and everything about decoding that the generator states."""

    def open(self, requests: Sequence[Request]) -> RowCache:
        """The entry of one list of requests.

        Which requests share a batch can touch the last digits of a log-probability, so a list is an entry of its own.
        """
        parts = {
            "kind": "generation",
            "version": VERSION,
            "core": __version__,
            "requests": requests_digest(requests),
            **self.identity,
        }
        return RowCache(self.root, cache_key(parts), parts)


def keeping_of(cache: Path | None, subject: Subject, generator: Generator, serving: Serving) -> Keeping | None:
    """Where the samples of a subject are kept; `None` without a cache."""
    if cache is None:
        return None
    identity = {
        "subject": subject.digest,
        "backend": subject.backend,
        "facts": attrs.asdict(generator.facts),
        "serving": attrs.asdict(serving),
    }
    return Keeping(root=cache, identity=identity)


@attrs.frozen(kw_only=True)
class Answered:
    """What became of the requests."""

    answers: Answers
    from_cache: int
    interrupted: bool = False
    note: str | None = None
    """What to say of what was not asked."""


def answer(
    requests: Sequence[Request], generator: Generator, keeping: Keeping | None, advance: Callable[[int], None]
) -> Answered:
    """Answers to all requests that the subject can give; recorded ones may lack some.

    Every sample is kept as soon as it is finished. A run that was killed goes on with the groups that were not
    complete, whole: the composition of a batch is then that of an undisturbed run, and so are the texts.

    Ctrl-C ends it with what was finished.

    Args:
        requests: the list; equal lists give equal answers.
        generator: of the subject.
        keeping: the cache; `None` for none.
        advance: called with the number of samples just finished.

    Raises:
        SubjectError: the generator answered what nobody asked, or cannot answer.
    """
    cache = keeping.open(requests) if keeping else None
    known = {_name(request): request for request in requests}
    answers: dict[tuple[str, int], Sample] = {}
    try:
        kept = {name: sample_from_row(row) for name, row in (cache.load() if cache else {}).items() if name in known}
        groups = generator.groups(requests) if kept else [requests]
        waiting: list[Request] = []
        for group in groups:
            names = [_name(request) for request in group]
            if kept and all(name in kept for name in names):
                answers.update({(r.probe, r.index): kept[name] for r, name in zip(group, names, strict=True)})
            else:
                waiting += group
        from_cache = len(answers)
        advance(from_cache)
        interrupted = False
        if waiting:
            asked = {_name(request) for request in waiting}
            try:
                for completed in generator.generate(waiting):
                    name = _name(completed.request)
                    if name not in asked:
                        raise SubjectError(f"the backend answered {name!r} twice or unasked; report this")
                    asked.discard(name)
                    answers[completed.request.probe, completed.request.index] = completed.sample
                    if cache is not None:
                        cache.append(name, sample_to_row(completed.sample))
                    advance(1)
            except KeyboardInterrupt:
                interrupted = True
        return Answered(answers=answers, from_cache=from_cache, interrupted=interrupted)
    finally:
        if cache is not None:
            cache.close()


def _name(request: Request) -> str:
    return f"{request.probe}/{request.index}"
