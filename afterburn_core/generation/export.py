"""A run's samples as recorded files: what was written can be measured again where the models are not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.generation.model import GenerationFacts, Responses, Sample
from afterburn_core.generation.stored import sample_to_row
from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.probes.model import Probe

PRODUCER = "core.generation_pass"


def sample_files(responses: Sequence[Responses], facts: Mapping[str, GenerationFacts]) -> tuple[ArtifactPayload, ...]:
    """One recorded file per subject, which `recorded:FILE` opens."""
    payloads = []
    for role in facts:
        lines = [_header(facts[role])]
        for response in responses:
            samples = {"base": response.base, "trained": response.trained, **response.controls}[role]
            lines += [_row(response.probe, sample) for sample in samples]
        text = "".join(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines)
        payloads.append(
            ArtifactPayload(
                id=f"core.samples_{role.replace(':', '_')}",
                suffix=".jsonl.gz",
                media_type="application/jsonl",
                summary=f"What {role} wrote to every prompt, as a recorded file",
                content=gzip.compress(text.encode(), mtime=0),
            )
        )
    return tuple(payloads)


def _header(facts: GenerationFacts) -> dict[str, Any]:
    return {"afterburn_recorded": 1, **attrs.asdict(facts)}


def _row(probe: Probe, sample: Sample) -> dict[str, Any]:
    prompt: Any = probe.prompt
    if not isinstance(prompt, str):
        prompt = [attrs.asdict(message) for message in prompt]
    row = {"prompt_id": probe.id, "prompt": prompt, **_stated(probe)}
    values = sample_to_row(sample)
    labels = values.pop("labels", {})
    row |= {"sample": values.pop("index"), "output": values.pop("text"), **values}
    return {**labels, **row}


def _stated(probe: Probe) -> dict[str, Any]:
    """What a probe says beyond its prompt, absent fields left out."""
    values = attrs.asdict(probe)
    kept = {name: value for name, value in values.items() if name not in {"id", "prompt"}}
    return {name: value for name, value in kept.items() if value not in (None, (), [], {})}
