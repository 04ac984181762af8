"""Says whether what training moved is reward hacking, and how sure that is."""

from __future__ import annotations

__version__ = "0.1.0"
