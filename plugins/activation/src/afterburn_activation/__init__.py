"""What training changed inside a model: the activation plugin of Afterburn."""

from __future__ import annotations

__version__ = "0.1.0"
