"""How texts are written: length, format, strategy, refusal, hedging, language."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec

ANALYZERS: tuple[AnalyzerSpec, ...] = ()
DETECTORS: tuple[DetectorSpec, ...] = ()
