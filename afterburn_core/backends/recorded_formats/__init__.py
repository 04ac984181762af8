"""Formats of recorded outputs: each module turns rows of one kind of file into entries. None imports NumPy or torch."""
