"""What the document says of the machine, the versions and the settings that its numbers came from."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

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
        "options": {name: dict(values) for name, values in settings.options.items()},
        "preset": settings.preset,
        "plugins": "all" if settings.plugins is None else list(settings.plugins),
        "strict": settings.strict,
    }


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
