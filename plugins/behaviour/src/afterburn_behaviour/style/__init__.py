"""Analyzers and the judge of how texts are written."""
