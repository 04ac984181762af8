"""What training changed in what a model writes: the behaviour plugin of Afterburn."""

from __future__ import annotations

__version__ = "0.1.0"
