"""Differences of the documents beside the weights, key by key.

A nested document is flattened to dotted keys; a key counts as changed when it is present on one side only or its
values differ. Keys that record how a file was written, not what the model does, are left out and listed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result import excerpts
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement
from afterburn_core.run.observations import DocumentPair

ARTIFACT = "weight.document_differences"
# the writing library's version, the path a model was loaded from, and file-format bookkeeping
WRITTEN_BY = frozenset(
    {
        "_attn_implementation_autoset",
        "_commit_hash",
        "_from_model_config",
        "_name_or_path",
        "dtype",
        "name_or_path",
        "torch_dtype",
        "transformers_version",
    }
)
# the keys of these are names that people chose: tokens, and titles of templates
_NAMES = frozenset({"chat_template", "vocabulary"})
_LISTED = 2000
_WITHHELD = re.compile(r"sha256:[0-9a-f]{64} \(\d+ characters\)")


class Documents:
    """Analyzer `weight.documents`."""

    def __init__(self, options: None = None) -> None:
        self._pairs: dict[str, DocumentPair] = {}
        self._excerpts = True

    def begin(self, context: AnalyzerContext) -> None:
        """Learns whether texts may be shown."""
        self._excerpts = context.excerpts

    def observe(self, item: DocumentPair) -> None:
        """Keeps the parsed documents."""
        self._pairs[item.name] = item

    def merge(self, other: Documents) -> None:
        """Takes in documents that another instance observed."""
        self._pairs.update(other._pairs)

    def finish(self) -> AnalyzerOutput:
        """Counts of differences, and the differences themselves as an artifact."""
        found: list[Measurement] = []
        listed: dict[str, list[dict[str, Any]]] = {}
        for name in sorted(self._pairs):
            pair = self._pairs[name]
            metric = f"weight.{name}.changed"
            if pair.base is None and pair.trained is None:
                found.append(undefined(metric, "neither checkpoint has one", n=0))
                continue
            ignored = frozenset[str]() if name in _NAMES else WRITTEN_BY
            base, trained = _flat(pair.base, ignored), _flat(pair.trained, ignored)
            differences = list(_differences(base, trained))
            found.append(measure(metric, len(differences), n=len(base.keys() | trained.keys())))
            if differences:
                rows = differences[:_LISTED]
                listed[name] = rows if self._excerpts else [_withheld(row) for row in rows]
        content = json.dumps(listed, sort_keys=True, indent=1, ensure_ascii=False).encode()
        artifact = ArtifactPayload(
            id=ARTIFACT,
            suffix=".json",
            media_type="application/json",
            summary=f"Changed keys of configuration, tokenizer, template and vocabulary (first {_LISTED} of each)",
            content=content,
        )
        return AnalyzerOutput(measurements=tuple(found), artifacts=(artifact,) if listed else ())


def withhold(text: str) -> str:
    """What stands in place of a text that must not be shown: its digest and length; itself if it is that already."""
    return text if _WITHHELD.fullmatch(text) else excerpts.withhold(text)


def as_text(value: Any) -> str:
    """A value of a document as text: itself, or its JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _withheld(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value if key == "key" else withhold(as_text(value)) for key, value in row.items()}


def _differences(base: Mapping[str, Any], trained: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key in sorted(base.keys() | trained.keys()):
        if key in base and key in trained and _same(base[key], trained[key]):
            continue
        row: dict[str, Any] = {"key": key}
        for side, document in (("base", base), ("trained", trained)):
            if key in document:
                row[side] = document[key]
        yield row


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    # 1 and True are equal in Python and different in a configuration; 1 and 1.0 are the same setting
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _flat(document: Mapping[str, Any] | None, ignored: frozenset[str], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in (document or {}).items():
        if key in ignored:
            continue
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, ignored, f"{name}."))
        else:
            flat[name] = value
    return flat
