"""What the document says of the machine, the versions and the settings that its numbers came from."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.generation.model import Decoding
from afterburn_core.result.model import Environment
from afterburn_core.run.configuration import Settings

_PACKAGES = ("torch", "numpy", "scipy", "transformers", "safetensors", "peft")


def environment(threads: int, device: str) -> Environment:
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return Environment(
        os=platform.system(),
        machine=platform.machine(),
        python=platform.python_version(),
        threads=threads,
        device=device,
        packages=packages,
    )


def configuration(settings: Settings) -> dict[str, Any]:
    """What shaped the numbers; places on this machine are left out."""
    return {
        "backend": settings.backend or "auto",
        "cache": settings.cache,
        "device": settings.device,
        "excerpts": settings.excerpts,
        "executor": settings.executor,
        "options": {
            name: {key: _placeless(value) for key, value in values.items()} for name, values in settings.options.items()
        },
        "preset": settings.preset,
        "plugins": "all" if settings.plugins is None else list(settings.plugins),
        "strict": settings.strict,
        "suite": list(settings.suite),
        "samples": settings.samples,
        "control": [_placeless(text) for text in settings.control],
        "decoding": attrs.asdict(decoding_of(settings)),
        "dtype": settings.dtype,
        "batch_size": settings.batch_size,
        "allow_code_execution": settings.allow_code_execution,
        **{name: _placeless(getattr(settings, name)) for name in ("reward", "gold")},
        "answers": None if settings.answers is None else Path(settings.answers).resolve().name,
    }


def _placeless(value: Any) -> Any:
    """An option as it is, or the last part of one that names a place on this machine; of each in a list."""
    if isinstance(value, (list, tuple)):
        return [_placeless(one) for one in value]
    if isinstance(value, str) and (value.startswith("~") or Path(value).is_absolute()):
        return Path(value).name
    return value


def decoding_of(settings: Settings) -> Decoding:
    """How both sides write."""
    limit = {"quick": 128, "standard": 256, "full": 512}[settings.preset]
    several = 1.0 if settings.samples > 1 else 0.0
    return Decoding(
        max_new_tokens=limit if settings.max_new_tokens is None else settings.max_new_tokens,
        temperature=several if settings.temperature is None else settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        min_p=settings.min_p,
        repetition_penalty=settings.repetition_penalty,
        template=settings.template,
    )


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
