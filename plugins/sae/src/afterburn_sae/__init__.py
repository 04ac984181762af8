"""Sparse dictionaries: which of their features did training switch on and off?"""

from __future__ import annotations

from afterburn_sae.compare import compare_models, load_sae

__all__ = ["compare_models", "load_sae"]
