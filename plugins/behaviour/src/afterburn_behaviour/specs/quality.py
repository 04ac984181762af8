"""Whether answers are right, and how sure the model is of them."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec

ANALYZERS: tuple[AnalyzerSpec, ...] = ()
DETECTORS: tuple[DetectorSpec, ...] = ()
