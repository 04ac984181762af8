"""Shared by the tests of the weight plugin."""

from __future__ import annotations

from hypothesis import settings

# A deadline measures the machine, not the code: other processes share it.
settings.register_profile("weight", deadline=None, print_blob=True)
settings.load_profile("weight")
