"""Samples as rows of the cache and of files: plain values, absent fields left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from afterburn_core.generation.model import Sample

_FIELDS = tuple(field.name for field in attrs.fields(Sample))
_TUPLES = ("token_ids", "choice_logprobs", "replies", "reply_tokens", "reply_finishes")


def sample_to_row(sample: Sample) -> dict[str, Any]:
    """The sample's fields that say something, as JSON values."""
    row = {name: getattr(sample, name) for name in _FIELDS}
    row = {name: value for name, value in row.items() if value is not None and value not in ({}, ())}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}


def sample_from_row(row: Mapping[str, Any]) -> Sample:
    """The inverse of `sample_to_row`."""
    values: dict[str, Any] = {n: tuple(value) if n in _TUPLES else value for n, value in row.items()}
    return Sample(**values)
