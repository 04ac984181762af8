"""The documents beside the weights: configuration, generation defaults, tokenizer, chat template, vocabulary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afterburn_core.errors import SubjectError
from afterburn_core.run.vocabulary import read_vocabulary

FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    "adapter_config.json",
)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; `None` if there is no such file.

    Raises:
        SubjectError: the file is not a JSON object.
    """
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise SubjectError(f"{path}: not valid JSON ({error}); save or fetch it again") from error
    if not isinstance(document, dict):
        raise SubjectError(f"{path}: expected a JSON object, got {type(document).__name__}")
    return document


def read_documents(directory: Path) -> dict[str, Mapping[str, Any] | None]:
    """Every document of a model directory by name; `None` for those it has not."""
    tokenizer_config = read_json(directory / "tokenizer_config.json")
    vocabulary = read_vocabulary(directory)
    return {
        "config": read_json(directory / "config.json"),
        "generation_config": read_json(directory / "generation_config.json"),
        "tokenizer": _tokenizer(directory, tokenizer_config),
        "chat_template": _chat_template(directory, tokenizer_config),
        "vocabulary": None if vocabulary is None else dict(vocabulary),
    }


def _tokenizer(directory: Path, tokenizer_config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Settings that decide how text becomes tokens. Token tables are left to `vocabulary`, templates to theirs."""
    settings = {key: value for key, value in (tokenizer_config or {}).items() if key != "chat_template"}
    settings.pop("added_tokens_decoder", None)
    special = read_json(directory / "special_tokens_map.json")
    if special:
        settings["special_tokens_map"] = special
    fast = read_json(directory / "tokenizer.json")
    if fast:
        parts = {key: value for key, value in fast.items() if key not in {"model", "added_tokens", "version"}}
        model = fast.get("model") or {}
        parts["model"] = {key: value for key, value in model.items() if key not in {"vocab", "merges"}}
        if "merges" in model:
            if not isinstance(model["merges"], list):
                raise SubjectError(f"{directory / 'tokenizer.json'}: merges is no list; save the tokenizer again")
            merges = json.dumps(model["merges"], sort_keys=True).encode()
            parts["model"]["merges"] = f"{len(model['merges'])} merges, sha256 {hashlib.sha256(merges).hexdigest()}"
        settings["tokenizer.json"] = parts
    return settings or None


def _chat_template(directory: Path, tokenizer_config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    path = directory / "chat_template.jinja"
    if path.is_file():
        try:
            return {"default": path.read_text(encoding="utf-8")}
        except (OSError, UnicodeDecodeError) as error:
            raise SubjectError(f"{path}: cannot be read ({error})") from error
    stored = (read_json(directory / "chat_template.json") or {}).get("chat_template")
    stored = stored or (tokenizer_config or {}).get("chat_template")
    if isinstance(stored, list):  # several named templates
        return {entry["name"]: entry["template"] for entry in stored if isinstance(entry, dict) and "name" in entry}
    return {"default": stored} if isinstance(stored, str) else None
