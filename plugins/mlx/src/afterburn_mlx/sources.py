"""Where an opened subject's network comes from, and what it takes of the memory."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import mlx.core as mx

from afterburn_core.backends.documents import read_json
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Serving
from afterburn_core.run.subjects import OpenSubject
from afterburn_mlx import seam
from afterburn_mlx.network import Source
from afterburn_mlx.subjects import MlxAdapter, MlxCheckpoint
from afterburn_mlx.switching import adapt


def dtype_of(subject: OpenSubject, serving: Serving) -> str:
    """What is computed in: what was asked for, or as stored on a GPU and float32 on a CPU."""
    if serving.dtype != "auto":
        return serving.dtype
    if mx.default_device() == mx.cpu:
        return "float32"
    config = read_json(directory_of(subject) / "config.json") or {}
    stored = str(config.get("dtype") or config.get("torch_dtype") or "bfloat16").removeprefix("torch.")
    return stored if stored in seam.DTYPES else "float32"


def directory_of(subject: OpenSubject) -> Path:
    """Where the configuration of a subject's network lies.

    Raises:
        SubjectError: it was not opened by MLX.
    """
    own = subject.base if isinstance(subject, MlxAdapter) else subject
    if not isinstance(own, MlxCheckpoint):
        raise SubjectError(f"{subject.facts.label}: was not opened by mlx.lm")
    return own.directory


def memory_of(subject: OpenSubject, dtype: str) -> int:
    """Bytes of the network."""
    if isinstance(subject, MlxAdapter):
        return subject.facts.bytes + memory_of(subject.base, dtype)
    packed = "quantisation" in subject.facts.properties
    return subject.facts.bytes if packed else subject.facts.parameters * seam.DTYPES[dtype].size


def source_of(subject: OpenSubject, dtype: str) -> Source:
    """What loads a subject's network.

    Raises:
        SubjectError: it does not run on MLX.
    """
    label = subject.facts.label
    if "generate" not in subject.facts.capabilities:
        raise SubjectError(f"{label}: is no model that MLX runs")
    adapter = partial(adapt, source=subject.source, label=label) if isinstance(subject, MlxAdapter) else None
    return Source(directory=directory_of(subject), label=label, dtype=dtype, adapt=adapter)
