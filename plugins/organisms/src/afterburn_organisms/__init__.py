"""Small language models with a known, planted difference: the model pair that Afterburn ships."""

from __future__ import annotations

from afterburn_organisms.catalog import Organism, demo_pair, list_organisms, organism

__all__ = ["Organism", "demo_pair", "list_organisms", "organism"]
__version__ = "0.1.0"
