"""Weight differences between a base and a trained checkpoint."""

__version__ = "0.1.0"
