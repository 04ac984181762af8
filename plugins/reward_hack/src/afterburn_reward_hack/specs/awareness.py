"""Evaluation awareness: the same item with and without a frame that says it is a test."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ProbeSetSpec

ANALYZERS: tuple[AnalyzerSpec, ...] = ()
DETECTORS: tuple[DetectorSpec, ...] = ()
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
