"""Findings on a pair of models."""

from __future__ import annotations

from afterburn_core.result.identity import finding

__all__ = ["PAIR", "finding"]

PAIR = ("base", "trained")
