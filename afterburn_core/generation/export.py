"""A run's samples as recorded files: what was written can be measured again where the models are not."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence

from afterburn_core.backends.recorded_writer import recorded_lines
from afterburn_core.generation.model import GenerationFacts, Responses, Sample
from afterburn_core.plugin.roles import ArtifactPayload


def sample_files(responses: Sequence[Responses], facts: Mapping[str, GenerationFacts]) -> tuple[ArtifactPayload, ...]:
    """One recorded file per subject, which `recorded:FILE` opens."""
    payloads = []
    for role, own in facts.items():
        rows = ((response.probe, sample) for response in responses for sample in _samples(response, role))
        payloads.append(
            ArtifactPayload(
                id=f"core.samples_{role.replace(':', '_')}",
                suffix=".jsonl.gz",
                media_type="application/jsonl",
                summary=f"What {role} wrote to every prompt, as a recorded file",
                content=gzip.compress(b"".join(recorded_lines(rows, own)), mtime=0),
            )
        )
    return tuple(payloads)


def _samples(response: Responses, role: str) -> tuple[Sample, ...]:
    return dict(response.sides()).get(role) or response.controls.get(role, ())
