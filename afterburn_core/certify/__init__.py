"""Signed statements about one pair of models that somebody else can check; nothing here imports torch."""

from __future__ import annotations
