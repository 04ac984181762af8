"""Quantised weights as they lie in checkpoints, one module per packing.

Each has `find(stored, config)`, which yields a `PackedWeight` for every weight it recognises by the names, dtypes and
shapes of its parts. Values are dequantised to float32 by blocks of rows, as the format's own library does it.
"""
