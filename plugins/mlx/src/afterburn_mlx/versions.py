"""What runs the models, as results name it."""

from __future__ import annotations

import importlib.metadata


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


ENGINE = f"mlx {_version('mlx')}, mlx-lm {_version('mlx-lm')}"
