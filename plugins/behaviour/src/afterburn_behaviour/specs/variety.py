"""How varied texts are, and whether anything at all changed."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec

ANALYZERS: tuple[AnalyzerSpec, ...] = ()
DETECTORS: tuple[DetectorSpec, ...] = ()
