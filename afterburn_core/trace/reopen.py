"""How to open a run's models again: `reopen.json` beside the document, for this machine alone.

The document names subjects by label and digest and never by path, so that it can travel. What a later command needs to
ask the same models again (references, prompts, decoding) is kept in a file of its own. It is no part of the document,
of its artifacts or of a certificate; a run directory without it is as complete as before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.errors import AfterburnError, ConfigError
from afterburn_core.result.files import replace_file
from afterburn_core.run.configuration import Settings, structure
from afterburn_core.run.references import parse_reference

FILE = "reopen.json"
VERSION = "1.0"
_ABOUT = "How to open this run's models again on this machine. Not part of the result; may be deleted."
_LEFT_OUT = frozenset(
    {"control", "executor", "fail_on", "judge", "method", "output", "policy", "run_dir", "strict", "threads"}
)
"""What another command has of its own, or what may hold a secret."""
_PATHS = ("answers", "cache_dir")
_SEVERAL = ("corpus", "prompts")


def write_reopening(directory: Path, settings: Settings) -> None:
    """Keeps the settings of a run in its directory, paths made absolute; credentials in addresses are left out.

    Raises:
        AfterburnError: the file cannot be written.
    """
    values = {name: value for name, value in attrs.asdict(settings).items() if name not in _LEFT_OUT}
    for name in ("base", "trained"):
        values[name] = _reference(values.get(name))
    for name in _PATHS:
        values[name] = _absolute(values.get(name))
    for name in _SEVERAL:
        values[name] = [_absolute(text) for text in values.get(name) or ()]
    content = {"about": _ABOUT, "schema_version": VERSION, "settings": values}
    replace_file(directory / FILE, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n")


def read_reopening(directory: Path) -> Settings | None:
    """The settings of the run in a directory; `None` where it keeps none.

    Raises:
        ConfigError: the file is damaged or of a newer version.
    """
    path = directory / FILE
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(path, type(error).__name__) from error
    if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
        raise _damaged(path, "it holds no settings")
    if str(content.get("schema_version")).split(".")[0] != VERSION.split(".")[0]:
        raise _damaged(path, f"its version is {content.get('schema_version')!r}, not {VERSION}")
    values: Mapping[str, Any] = content["settings"]
    settings: Settings = structure({name: value for name, value in values.items() if value is not None}, Settings, FILE)
    return settings


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(f"{path}: cannot be read ({why}); delete it and name the models with --base and --trained")


def _reference(text: str | None) -> str | None:
    """A subject as the user named it: a path made absolute, an address without its credentials."""
    if text is None:
        return None
    try:
        reference = parse_reference(text)
    except AfterburnError:
        return text
    if reference.path is not None:
        prefix = "recorded:" if reference.scheme == "recorded" else ""
        return f"{prefix}{os.path.abspath(reference.path)}"
    return reference.text


def _absolute(text: str | None) -> str | None:
    if text is None:
        return None
    path = Path(text).expanduser()
    return os.path.abspath(path) if path.exists() else text
