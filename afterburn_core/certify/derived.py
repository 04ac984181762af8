"""Fields that follow from others by arithmetic or hashing, computed alike when a certificate is made and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from afterburn_core.certify.encoding import MAX_INTEGER, canonical
from afterburn_core.certify.paths import CODE_SUFFIXES, PICKLE_SUFFIXES
from afterburn_core.report.inert import one_line

LONGEST = 1200
"""Characters of one text that is repeated from a run."""
MOST_TENSORS = 4096
"""Tensors listed one by one; beyond it the digest of the whole list stands for the rest."""

DOCUMENTS: Mapping[str, tuple[str, ...]] = {
    "configurationSha256": ("config.json",),
    "tokenizerSha256": ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"),
    "chatTemplateSha256": ("chat_template.jinja", "chat_template.json"),
    "adapterConfigurationSha256": ("adapter_config.json",),
}
"""Fields with the digest of one file, and the names that it may have, the first that is there."""
_FORMATS = {".safetensors": "safetensors", ".gguf": "gguf", **dict.fromkeys(PICKLE_SUFFIXES, "pickle")}


def of_files(digests: Mapping[str, str]) -> dict[str, Any]:
    """What follows for a model from the list of its files alone.

    Args:
        digests: SHA-256 of each file, by path.
    """
    suffixes = {PurePosixPath(path).suffix.lower() for path in digests}
    return {
        "formats": sorted({_FORMATS[suffix] for suffix in suffixes if suffix in _FORMATS}),
        **{
            field: next((digests[name] for name in names if name in digests), None)
            for field, names in DOCUMENTS.items()
        },
        "codeFiles": sorted(path for path in digests if path.endswith(CODE_SUFFIXES)),
        "pickleFiles": sorted(path for path in digests if path.endswith(PICKLE_SUFFIXES)),
    }


def jsonable(value: Any) -> Any:
    """Values as canonical JSON can hold them: integers beyond 2^53 become texts."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_INTEGER:
        return str(value)
    return value


def plan_digest(plan: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a plan or of a configuration."""
    return hashlib.sha256(canonical(plan)).hexdigest()


def compute_ratio(compute: Mapping[str, Any] | None) -> dict[str, Any]:
    """The quotient of the declared compute of this training and of the base's, with the arithmetic; no conclusion."""
    found: dict[str, Any] = {"origin": "measured", "ratio": None, "arithmetic": None}
    if compute and compute["postTrainingFlop"] and compute["baseFlop"]:
        after, before = float(compute["postTrainingFlop"]), float(compute["baseFlop"])
        if before > 0:
            found["ratio"] = float(f"{after / before:.6g}")
            found["arithmetic"] = f"{after:.6g} FLOP / {before:.6g} FLOP = {after / before:.6g}"
    return found


def clip_or_none(text: str | None) -> str | None:
    """`clip`, of a text that may be absent."""
    return None if text is None else clip(text)


def clip(text: str) -> str:
    """One line without control characters and of bounded length, of whatever somebody called something."""
    line = one_line(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
