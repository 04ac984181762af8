"""Afterburn compares a base checkpoint with a trained one and says, with evidence, what training did.

The public API is reached lazily, so that importing the package (and the command line) never imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Diagnoser", "DiagnosticReport", "__version__", "load_report"]

if TYPE_CHECKING:
    from afterburn_core.api import Diagnoser, DiagnosticReport, load_report


def __getattr__(name: str) -> Any:
    if name in {"Diagnoser", "DiagnosticReport", "load_report"}:
        from afterburn_core import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
