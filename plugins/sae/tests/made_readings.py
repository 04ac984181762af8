"""Batches, a small dictionary and stored reports made by hand, for the tests of drift and risk packs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch

from afterburn_core.api import DiagnosticReport
from afterburn_core.forward.model import CONTENT, Captured, ForwardBatch, Passage, Rows
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.model import Artifact
from afterburn_core.testing.documents import result_of

D, LATENTS, TOKENS = 48, 40, 5
SITES = ("blocks.0.out", "blocks.1.out")


def batch(passages: list[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]) -> ForwardBatch:
    """Given passages of `TOKENS` tokens: name, set, activations (tokens, d) by site on base and on trained."""
    count = len(passages)
    position = torch.arange(TOKENS).repeat(count)
    rows = Rows(
        passages=tuple(Passage(id=name, source="given", domain=of, unit=name) for name, of, _, _ in passages),
        passage=torch.arange(count).repeat_interleave(TOKENS),
        position=position,
        token=position,
        token_class=torch.full_like(position, CONTENT).to(torch.uint8),
        in_text=position >= 2,
        offset=position - 2,
        target=torch.full_like(position, -1),
        target_class=torch.zeros_like(position).to(torch.uint8),
        decode=str,
    )
    base, trained = (
        Captured(sites={s: torch.tensor(np.concatenate([p[k][s] for p in passages])).float() for s in passages[0][2]})
        for k in (2, 3)
    )
    scored = torch.zeros(0, dtype=torch.int64)
    return ForwardBatch(rows=rows, base=base, trained=trained, controls={}, scored=scored, scores=None)


def dictionary(folder: Path, seed: int = 0) -> tuple[Path, np.ndarray]:
    """A ReLU dictionary for block 1, and its encoder."""
    folder.mkdir()
    encoder = np.random.default_rng(seed).normal(size=(D, LATENTS)).astype(np.float32)
    tensors = {
        "W_enc": encoder,
        "b_enc": np.zeros(LATENTS, dtype=np.float32),
        "W_dec": np.ascontiguousarray(encoder.T),
        "b_dec": np.zeros(D, dtype=np.float32),
    }
    (folder / "sae_weights.safetensors").write_bytes(safetensors.numpy.save(tensors))
    configuration = {"architecture": "standard", "d_in": D, "d_sae": LATENTS, "apply_b_dec_to_input": False}
    configuration["metadata"] = {"hook_name": "blocks.1.hook_resid_post", "model_name": "made"}
    (folder / "cfg.json").write_text(json.dumps(configuration))
    return folder, encoder


def analyze(make: Callable[[], Any], batches: list[ForwardBatch], parts: int = 1) -> AnalyzerOutput:
    analyzers = [make() for _ in range(parts)]
    for analyzer in analyzers:
        analyzer.begin(AnalyzerContext(subjects=(), seed=7))
    for number, item in enumerate(batches):
        analyzers[number % parts].observe(item)
    for other in analyzers[1:]:
        analyzers[0].merge(other)
    found: AnalyzerOutput = analyzers[0].finish()
    return found


def stored_report(folder: Path, output: AnalyzerOutput) -> DiagnosticReport:
    """A report on a document with these artifacts beside it."""
    artifacts = []
    (folder / "artifacts").mkdir(exist_ok=True)
    for payload in output.artifacts:
        place = folder / "artifacts" / f"{payload.id}{payload.suffix}"
        place.write_bytes(payload.content)
        artifacts.append(made_artifact(payload.id, place, payload.content))
    return DiagnosticReport(result_of(measurements=output.measurements, artifacts=tuple(artifacts)), folder)


def made_artifact(identifier: str, place: Path, content: bytes) -> Artifact:
    return Artifact(
        id=identifier,
        path=f"artifacts/{place.name}",
        media_type="application/json",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        producer=identifier,
        summary="made",
    )
