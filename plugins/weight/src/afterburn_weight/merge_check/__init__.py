"""`afterburn merge-check`: what merging adapters into their base would lose, with a verdict."""
