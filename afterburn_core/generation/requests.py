"""From probes to requests: one per sample, each with a seed of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from afterburn_core.generation.model import Request
from afterburn_core.probes.model import Probe, prompt_digest
from afterburn_core.run.seeds import child_seed

LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def make_requests(probes: Iterable[Probe], *, samples: int, seed: int, choices: bool) -> tuple[Request, ...]:
    """Every sample of every probe, in the order of the probes.

    The seed of a sample follows from the run's seed, the prompt's content and the sample's number alone. It is the
    same for every subject, so that equal models write equal texts, whatever else is in the run.

    Args:
        probes: what to ask.
        samples: texts per probe.
        seed: of the run.
        choices: whether the log-probabilities of the labels of multiple-choice probes are wanted.
    """
    return tuple(
        Request(
            probe=probe.id,
            index=index,
            messages=probe.messages,
            seed=child_seed(seed, f"generation/{digest}/{index}"),
            choices=tuple(LABELS[: len(probe.choices)]) if choices and index == 0 else (),
        )
        for probe in probes
        for digest in (prompt_digest(probe),)
        for index in range(samples)
    )


def requests_digest(requests: Sequence[Request]) -> str:
    """sha256 over everything that a generator sees, in order."""
    digest = hashlib.sha256()
    for request in requests:
        turns = [[message.role, message.content] for message in request.messages]
        line = [request.probe, request.index, turns, request.seed, list(request.choices)]
        digest.update(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()
