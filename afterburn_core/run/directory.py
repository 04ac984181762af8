"""Run directories: checked before anything is computed, written atomically, never half overwritten."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from afterburn_core.errors import ConfigError
from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.result.files import replace_file
from afterburn_core.result.model import Artifact

RESULT = "result.json"
DEFAULT_PARENT = "afterburn-runs"


def prepare(run_dir: Path | None, label: str) -> Path:
    """A writable run directory: the one given, or a new one named by time and label under `afterburn-runs/`.

    Raises:
        ConfigError: it cannot be created or written.
    """
    if run_dir is None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        parent = Path(DEFAULT_PARENT)
        run_dir = parent / f"{stamp}-{label}"
        number = 2
        while run_dir.exists():
            run_dir = parent / f"{stamp}-{label}-{number}"
            number += 1
    try:
        (run_dir / "artifacts").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"run directory {run_dir}: cannot be created ({error.strerror}); give another --run-dir"
        ) from error
    check_writable(run_dir, "--run-dir")
    return run_dir


def check_writable(directory: Path, flag: str) -> None:
    """Proves that a file can be created there, before a run depends on it.

    Raises:
        ConfigError: it cannot.
    """
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise ConfigError(
            f"{directory}: cannot be written ({error.strerror}); choose another place with {flag}"
        ) from error


def write_artifacts(
    directory: Path, producers: Mapping[str, str], payloads: Sequence[ArtifactPayload]
) -> tuple[Artifact, ...]:
    """Writes payloads under `artifacts/` and describes them, sorted by id.

    Args:
        directory: the run directory.
        producers: component that made each payload, by payload id.
        payloads: what to write.
    """
    written = []
    for payload in sorted(payloads, key=lambda payload: payload.id):
        relative = f"artifacts/{payload.id}{payload.suffix}"
        replace_file(directory / relative, payload.content)
        written.append(
            Artifact(
                id=payload.id,
                path=relative,
                media_type=payload.media_type,
                sha256=hashlib.sha256(payload.content).hexdigest(),
                size=len(payload.content),
                summary=payload.summary,
                producer=producers[payload.id],
            )
        )
    return tuple(written)


def artifact_reader(directory: Path | None, artifacts: Sequence[Artifact]) -> Callable[[str], Mapping[str, Any] | None]:
    """A function that gives a JSON artifact by id, or `None` where it is absent or not the one described."""
    by_id = {artifact.id: artifact for artifact in artifacts}

    def read(identifier: str) -> Mapping[str, Any] | None:
        artifact = by_id.get(identifier)
        if artifact is None or directory is None or artifact.media_type != "application/json":
            return None
        try:
            content = (directory / artifact.path).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content).hexdigest() != artifact.sha256:
            return None
        document = json.loads(content)
        return document if isinstance(document, dict) else None

    return read


def result_path(run: Path) -> Path:
    """The document of a run named by its directory or by the document itself.

    Raises:
        ConfigError: there is none.
    """
    path = run / RESULT if run.is_dir() else run
    if not run.exists():
        raise ConfigError(f"{run}: does not exist; give a run directory or a result document")
    if not path.is_file():
        raise ConfigError(f"{run}: holds no {RESULT}; give a run directory or a result document")
    return path


def directory_of(path: Path) -> Path:
    """The run directory of a document."""
    return Path(os.path.dirname(os.path.abspath(path)))
