"""Decoding mismatch: equal weights that write differently because they are served differently."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ProbeSetSpec

ANALYZERS: tuple[AnalyzerSpec, ...] = ()
DETECTORS: tuple[DetectorSpec, ...] = ()
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
