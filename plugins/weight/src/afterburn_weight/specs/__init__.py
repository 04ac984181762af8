"""Specs by subject; each module has `ANALYZERS` and `DETECTORS`. None imports torch."""
