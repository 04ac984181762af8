"""Spectra, heads, tokens, directions, adapter and kind of update: shown where measured, whole or counted, inert."""

from __future__ import annotations

import hashlib
import json
import math
import random
import struct
import sys
from array import array
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_core.report.attachments import Unusable
from afterburn_core.report.evidence import collect
from afterburn_core.report.html import HtmlOptions, render
from afterburn_core.report.markdown import render as render_markdown
from afterburn_core.report.spectra import is_spectral, ladder, spectra
from afterburn_core.report.tokens import token_text
from afterburn_core.report.vectors import open_vectors
from afterburn_core.report.weight_views import ViewLimits, weight_views
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Artifact, Measurement, Null, Result, Scope
from afterburn_core.result.table import spill
from afterburn_core.result.view import ResultView

sys.path.append(str(Path(__file__).parent))
from test_report_html import Page
from test_report_samples import MODULES, PWN, clean, metric, run, size_of_change

PATHS = {m: f"self_attn.{m}_proj" if m in "qkvo" else f"mlp.{m}_proj" for m in MODULES}
SUMMARIES = {
    "weight.delta.relative": "Norm of the change over norm of the base weights",
    "weight.delta.stable_rank": "Squared norm of the change over its largest squared singular value",
    "weight.delta.effective_rank": "Exponential of the entropy of the squared singular values",
    "weight.noise.edge": "Largest singular value that noise alone would have",
    "weight.noise.spikes": "Singular values of the change above the edge of the noise",
    "weight.tail.alpha": "Exponent of the power law of the squared singular values",
    "weight.heads.relative": "Relative change of one head's weights",
    "weight.heads.qk.relative": "Relative change of the product of query and key weights",
    "weight.heads.ov.relative": "Relative change of the product of output and value weights",
    "weight.heads.stable_rank": "Stable rank of the change of one head",
    "weight.heads.outlier": "Distance of one head from the others in robust deviations",
    "weight.adapter.rank": "Configured rank",
    "weight.adapter.used_rank": "Singular values of the update that are above rounding",
    "weight.adapter.scaling": "Factor on the product of the two matrices",
    "weight.adapter.contribution": "Share of the squared norm of the whole update",
    "weight.update.likelihood": "How likely this kind of update is",
    "weight.update.unchanged_fraction": "Share of entries whose stored bits did not change",
    "weight.update.principal_share": "Share of the change in the principal subspace of the base",
}
HOT = "model.layers.17.mlp.down_proj.weight"


def safetensors(vectors: dict[str, list[float]], code: str = "d") -> bytes:
    """The format written by hand, as its documentation describes it."""
    header: dict[str, Any] = {}
    body = b""
    for name, values in vectors.items():
        content = array(code, values).tobytes()
        offsets = [len(body), len(body) + len(content)]
        header[name] = {"dtype": {"d": "F64", "f": "F32"}[code], "shape": [len(values)], "data_offsets": offsets}
        body += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def attach(directory: Path, document: Result, identifier: str, suffix: str, content: bytes) -> Result:
    """The document with one more file beside it."""
    path = directory / "artifacts" / f"{identifier}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    artifact = Artifact(
        id=identifier,
        path=path.relative_to(directory).as_posix(),
        media_type="application/json" if suffix == ".json" else "application/vnd.safetensors",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        summary="Made for a test",
        producer="weight.delta",
    )
    return attrs.evolve(document, artifacts=(*document.artifacts, artifact))


def sigmas(change: float, size: int, spikes: int) -> list[float]:
    bulk = [change * 4 * (1 - k / size) ** 0.7 for k in range(size)]
    return sorted([change * (30 - 4 * k) for k in range(spikes)] + bulk[spikes:], reverse=True)


def matrices(layers: int) -> tuple[list[Measurement], dict[str, list[float]]]:
    found: list[Measurement] = []
    vectors: dict[str, list[float]] = {}
    for layer in range(layers):
        for module, shape in MODULES.items():
            scope = Scope(tensor=f"model.layers.{layer}.{PATHS[module]}.weight", layer=layer, module=module)
            change, size = size_of_change(layer, module), 6 * min(shape)
            base = [9.0 * (k + 1) ** -0.45 for k in range(size)]
            found.append(measure("weight.delta.relative", change, scope=scope))
            vectors[f"{scope.tensor}.base"] = base
            if not change:
                found.append(undefined("weight.delta.stable_rank", "the tensor did not change", scope=scope))
                vectors[f"{scope.tensor}.delta"] = [0.0] * size
                continue
            spikes = (layer + len(module)) % 5
            vectors[f"{scope.tensor}.trained"] = [s * (1 + change * math.cos(k)) for k, s in enumerate(base)]
            vectors[f"{scope.tensor}.delta"] = sigmas(change, size, spikes)
            for name, value in (
                ("weight.delta.stable_rank", 3.5 + layer % 5),
                ("weight.delta.effective_rank", 40.0 + layer),
                ("weight.noise.edge", change * 4.3),
                ("weight.noise.spikes", spikes),
            ):
                found.append(measure(name, value, scope=scope))
            for side, alpha in (("base", 2.11), ("trained", 2.13)):
                found.append(measure("weight.tail.alpha", alpha, scope=scope, subjects=(side,), n=90))
    return found, vectors


def head_scores(layers: int, heads: int = 16, groups: int = 4) -> list[Measurement]:
    draw = random.Random(7)
    found: list[Measurement] = []
    for layer in range(layers):
        for module in "qkvo":
            tensor = f"model.layers.{layer}.self_attn.{module}_proj.weight"
            for head in range(groups if module in "kv" else heads):
                scope = Scope(tensor=tensor, layer=layer, module=module, head=head)
                hot = (layer, module, head) == (5, "q", 11)
                found.append(measure("weight.heads.relative", 0.2 if hot else draw.uniform(0.01, 0.03), scope=scope))
                null = Null(control="gaussian", n=199, quantile=0.01, p_value=0.015)
                rank = measure("weight.heads.stable_rank", draw.uniform(2, 9), scope=scope)
                found.append(attrs.evolve(rank, null=null))
                if hot:
                    null = Null(control="normal", n=9999, quantile=1.0, p_value=0.0001)
                    found.append(attrs.evolve(measure("weight.heads.outlier", 41.0, scope=scope), null=null))
        for head in range(heads):
            scope = Scope(layer=layer, head=head)
            found.append(measure("weight.heads.qk.relative", draw.uniform(0.01, 0.05), scope=scope))
            if (layer, head) == (0, 0):
                found.append(undefined("weight.heads.ov.relative", "the base norm is zero", scope=scope))
            else:
                found.append(measure("weight.heads.ov.relative", draw.uniform(0.01, 0.05), scope=scope))
    return found


TOKENS: dict[str, Any] = {
    "model.embed_tokens.weight": {
        "rows": 32000,
        "untouched_rows": 31990,
        "moved": [
            {"text": text, "id": 100 + k, "relative": 0.4 / (k + 1), "cosine_distance": 0.05 / (k + 1)}
            for k, text in enumerate([" sure", "\n\n", "Great", "法", "<|end|>", "  ", ""])
        ],
        "added": [{"text": "<think>", "id": 32000, "nearest": ["<s>", " thought"]}],
        "removed": [],
    }
}
DIRECTIONS = [
    {
        "tensor": HOT,
        "layer": 17,
        "kind": "writer",
        "sigma": 1.25,
        "tokens_plus": [" sure", " yes", " certainly", " absolutely", "!"],
        "tokens_minus": [" no", " cannot", " sorry"],
    },
    {
        "tensor": "model.layers.3.self_attn.o_proj.weight",
        "layer": 3,
        "kind": "writer",
        "sigma": 0.5,
        "tokens_plus": ["{", "```"],
        "tokens_minus": ["\n", " the"],
    },
]


def small_parts() -> list[Measurement]:
    found = [
        measure("weight.update.likelihood", share, scope=Scope(subset=kind))
        for kind, share in (("merged_adapter", 0.08), ("full_fine_tune", 0.81), ("reinforcement_like", 0.11))
    ]
    found += [measure("weight.update.unchanged_fraction", 0.17), measure("weight.update.principal_share", 0.031)]
    for layer in range(4):
        scope = Scope(tensor=f"model.layers.{layer}.self_attn.q_proj.weight", layer=layer, module="q")
        for name, value in (("rank", 16), ("used_rank", 3 + layer), ("scaling", 2.0), ("contribution", 0.1 * (layer + 1))):
            found.append(measure(f"weight.adapter.{name}", value, scope=scope))
    return found


def weighty(directory: Path, layers: int = 24, *, excerpts: bool = True) -> Result:
    """A run with everything the views show, its files in `directory`."""
    found, vectors = matrices(layers)
    items = (*found, *head_scores(layers), *small_parts())
    document = clean()
    document = attrs.evolve(
        document,
        run=run(document.run.components, configuration={"excerpts": excerpts}),
        descriptors=attrs.evolve(document.descriptors, metrics=tuple(metric(i, s) for i, s in SUMMARIES.items())),
        measurements=items,
    )
    document = attach(directory, document, "weight.spectra", ".safetensors", safetensors(vectors))
    document = attach(directory, document, "weight.tokens", ".json", json.dumps(TOKENS).encode())
    return attach(directory, document, "weight.directions.tokens", ".json", json.dumps(DIRECTIONS).encode())
