"""Specs of the plugin's analyzers and detectors; imports neither NumPy nor torch."""
